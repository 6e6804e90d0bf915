// From the server's OpenAPI document to src/openapi.ts.

import openapiTS, { astToString } from "openapi-typescript";

const HEAD = `// Made from the server's OpenAPI document, longer than 700 lines for that. Do not edit it:
//   npm run types

`;

/** What is of use to a program: no examples, and no errors, which all have one shape. */
function essence(document) {
  const { paths, components } = structuredClone(document);
  for (const operations of Object.values(paths)) {
    for (const operation of Object.values(operations)) {
      delete operation.description;
      for (const status of Object.keys(operation.responses)) {
        if (status >= "400") delete operation.responses[status];
        else delete operation.responses[status].headers;
      }
    }
  }
  const withoutExamples = JSON.stringify({ openapi: document.openapi, info: document.info, paths, components }, (key, value) =>
    key === "example" || key === "examples" ? undefined : value,
  );
  return JSON.parse(withoutExamples);
}

/** The text of src/openapi.ts. */
export async function types(document) {
  const options = { emptyObjectsUnknown: true, defaultNonNullable: false, silent: true };
  return HEAD + astToString(await openapiTS(essence(document), options));
}
