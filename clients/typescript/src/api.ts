/** Calls of the management API, typed by the operations of its OpenAPI document. */

import type { components, operations } from "./openapi.js";
import type { RequestOptions, Transport } from "./transport.js";

/** The shapes of the API by name, such as `Schemas["Rule"]`. */
export type Schemas = components["schemas"];
/** The operations of the API by id, such as `listEvents`. */
export type OperationId = keyof operations;

type Json<C> = C extends { content: { "application/json": infer T } } ? T : never;
type Responses<O extends OperationId> = operations[O]["responses"];

/** What an operation answers when it works. */
export type Answer<O extends OperationId> = Json<Responses<O>[keyof Responses<O>]>;
/** What an operation takes as its body. */
export type Body<O extends OperationId> = Json<NonNullable<operations[O]["requestBody"]>>;
/** What an operation takes after the `?`. */
export type Query<O extends OperationId> = NonNullable<operations[O]["parameters"]["query"]>;
/** The filters of a list that comes in pages. */
export type Filter<O extends OperationId> = Omit<Query<O>, "cursor">;
/** One record of a list. */
export type RecordOf<O extends OperationId> = Answer<O> extends { records: (infer R)[] } ? R : never;

interface Page {
  records: unknown[];
  next_cursor: string | null;
}

/** What a call carries beside its path. */
export interface Carried {
  query?: object;
  body?: unknown;
}

/** Sends and reads; each kind of resource calls it. */
export class Api {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  get<O extends OperationId>(path: string, options?: RequestOptions, query?: Query<O>): Promise<Answer<O>> {
    return this.send("GET", path, { query }, options) as Promise<Answer<O>>;
  }

  post<O extends OperationId>(path: string, body: Body<O> | undefined, options?: RequestOptions): Promise<Answer<O>> {
    return this.send("POST", path, { body }, options) as Promise<Answer<O>>;
  }

  put<O extends OperationId>(path: string, body: Body<O>, options?: RequestOptions): Promise<Answer<O>> {
    return this.send("PUT", path, { body }, options) as Promise<Answer<O>>;
  }

  delete<O extends OperationId>(path: string, options?: RequestOptions, body?: Body<O>): Promise<Answer<O>> {
    return this.send("DELETE", path, { body }, options) as Promise<Answer<O>>;
  }

  /** Every record of a list that comes in pages; a page is asked for when the one before has been read. */
  async *all<O extends OperationId>(
    path: string,
    filter: Filter<O> | undefined,
    options?: RequestOptions,
  ): AsyncGenerator<RecordOf<O>, void, undefined> {
    let cursor: string | null | undefined;
    do {
      const page = (await this.send("GET", path, { query: { ...filter, cursor } }, options)) as Page;
      yield* page.records as RecordOf<O>[];
      cursor = page.next_cursor;
    } while (cursor);
  }

  send(method: string, path: string, { query, body }: Carried, options?: RequestOptions): Promise<unknown> {
    return this.#transport.send(
      {
        method,
        path: path + search(query),
        body: body === undefined ? undefined : JSON.stringify(body),
        repeatable: method === "GET" || (method === "PUT" && !isVersioned(body)),
      },
      options,
    );
  }
}

/** A path whose values are those of the template, each escaped. */
export function path(texts: TemplateStringsArray, ...values: string[]): string {
  return texts.reduce((whole, text, place) => {
    const value = values[place - 1];
    if (typeof value !== "string" || value === "" || value === "." || value === "..") {
      throw new TypeError(`${whole} must be followed by an id`);
    }
    return whole + encodeURIComponent(value) + text;
  });
}

function search(query: object | undefined): string {
  const pairs = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== null);
  const text = new URLSearchParams(pairs.map(([name, value]) => [name, String(value)])).toString();
  return text && `?${text}`;
}

/** A change of one version is not the same when it comes a second time. */
function isVersioned(body: unknown): boolean {
  return typeof body === "object" && body !== null && "expected_version" in body;
}
