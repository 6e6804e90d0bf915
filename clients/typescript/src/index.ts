/** Heddle's client: emit events, and manage what becomes of them. */

export type { Answer, Body, OperationId, Query, Schemas } from "./api.js";
export type { MachineKey } from "./credentials.js";
export { HeddleError } from "./errors.js";
export {
  type AcceptedEvent,
  type BatchResult,
  type EmitOptions,
  type EventInput,
  EventsClient,
  type EventsClientOptions,
  type RefusedEvent,
  isAccepted,
} from "./events.js";
export { type AccessToken, ManagementClient } from "./management.js";
export type { BatchOptions, Rejected } from "./queue.js";
export type { Timing } from "./timing.js";
export type { ClientOptions, RequestOptions } from "./transport.js";
