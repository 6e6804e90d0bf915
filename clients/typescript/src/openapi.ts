// Made from the server's OpenAPI document, longer than 700 lines for that. Do not edit it:
//   npm run types

export interface paths {
    "/api/v1/workspaces": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List workspaces */
        get: operations["listWorkspaces"];
        put?: never;
        /** Make a workspace */
        post: operations["createWorkspace"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/workspaces/{workspace}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read a workspace */
        get: operations["getWorkspace"];
        /** Change a workspace */
        put: operations["updateWorkspace"];
        post?: never;
        /** Delete a workspace for good */
        delete: operations["deleteWorkspace"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/workspaces/{workspace}/connections": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List the connections of a workspace */
        get: operations["listWorkspaceConnections"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/workspaces/{workspace}/rules": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List the rules of a workspace */
        get: operations["listWorkspaceRules"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/workspaces/{workspace}/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List the events of a workspace */
        get: operations["listWorkspaceEvents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/workspaces/{workspace}/publishable-keys": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List publishable keys */
        get: operations["listPublishableKeys"];
        put?: never;
        /** Make a publishable key */
        post: operations["createPublishableKey"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/workspaces/{workspace}/publishable-keys/{publishable_key}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Delete a publishable key */
        delete: operations["deletePublishableKey"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/workspaces/{workspace}/event-types": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List event types */
        get: operations["listEventTypes"];
        put?: never;
        /** Add an event type */
        post: operations["createEventType"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/workspaces/{workspace}/event-types/{event_type}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /** Change an event type */
        put: operations["updateEventType"];
        post?: never;
        /** Delete an event type */
        delete: operations["deleteEventType"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/workspaces/{workspace}/resources": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List resources */
        get: operations["listResources"];
        put?: never;
        /** Add a resource */
        post: operations["createResource"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/workspaces/{workspace}/resources/{resource}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /** Change a resource */
        put: operations["updateResource"];
        post?: never;
        /** Delete a resource */
        delete: operations["deleteResource"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/workspaces/{workspace}/usage": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read the counters of a workspace */
        get: operations["getWorkspaceUsage"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/workspaces/{workspace}/limits": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read the limits of a workspace */
        get: operations["getWorkspaceLimits"];
        /** Set the limits of a workspace */
        put: operations["putWorkspaceLimits"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/usage": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read the counters */
        get: operations["getUsage"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/integrations": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List what can be connected */
        get: operations["listIntegrations"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/connections": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List connections */
        get: operations["listConnections"];
        put?: never;
        /** Connect a destination */
        post: operations["createConnection"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/connections/{connection}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read a connection */
        get: operations["getConnection"];
        /** Change a connection */
        put: operations["updateConnection"];
        post?: never;
        /** Delete a connection */
        delete: operations["deleteConnection"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/connections/{connection}/actions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read what there is to pick from */
        get: operations["getConnectionActions"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/connections/{connection}/fields": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read the destination's fields */
        get: operations["getConnectionFields"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/connections/{connection}/mappings/default": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read the default mapping */
        get: operations["getDefaultMapping"];
        /** Store the default mapping */
        put: operations["putDefaultMapping"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/connections/{connection}/check": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Ask whether a connection works */
        post: operations["checkConnection"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/rules": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List rules */
        get: operations["listRules"];
        put?: never;
        /** Make a rule */
        post: operations["createRule"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/rules/dry-run": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Try a rule out on past events */
        post: operations["dryRunRule"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/rules/{rule}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read a rule */
        get: operations["getRule"];
        /** Change a rule */
        put: operations["updateRule"];
        post?: never;
        /** Delete a rule */
        delete: operations["deleteRule"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List events */
        get: operations["listEvents"];
        put?: never;
        /** Emit an event */
        post: operations["emitEvent"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/events/bulk": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Emit up to 100 events */
        post: operations["emitEvents"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/events/{event}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read an event */
        get: operations["getEvent"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/events/{event}/payload": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read an event with its payload */
        get: operations["getEventPayload"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/events/{event}/explain": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read why each rule matched or did not */
        get: operations["explainEvent"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/events/{event}/cancel": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Call an event off */
        post: operations["cancelEvent"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/events/{event}/rules/{rule}/retry": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Try a delivery now */
        post: operations["retryRuleEvent"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/events/{event}/rules/{rule}/cancel": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Call a delivery off */
        post: operations["cancelRuleEvent"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/events/{event}/rules/{rule}/attempts": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List the attempts of a delivery */
        get: operations["listAttempts"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/events/{event}/rules/{rule}/attempts/{attempt}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read an attempt */
        get: operations["getAttempt"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/events/{event}/rules/{rule}/attempts/{attempt}/response-details": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read what a destination answered */
        get: operations["getResponseDetails"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/replays": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List replays */
        get: operations["listReplays"];
        put?: never;
        /** Replay in bulk */
        post: operations["createReplay"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/replays/preview": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Count what a replay would look at */
        post: operations["previewReplay"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/replays/{replay}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read a replay */
        get: operations["getReplay"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/replays/{replay}/pause": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Pause a replay */
        post: operations["pauseReplay"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/replays/{replay}/resume": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Resume a replay */
        post: operations["resumeReplay"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/replays/{replay}/cancel": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Call a replay off */
        post: operations["cancelReplay"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List the sessions of a workspace */
        get: operations["listSessions"];
        put?: never;
        /** Open a session */
        post: operations["createSession"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/{session}/refresh": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Renew a session's access token */
        post: operations["refreshSession"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/{session}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** End a session */
        delete: operations["revokeSession"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/keys": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List machine keys */
        get: operations["listKeys"];
        put?: never;
        /** Make a machine key */
        post: operations["createKey"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/keys/{access_key}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Revoke a machine key */
        delete: operations["revokeKey"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        AcceptedEvent: {
            /** Format: uuid */
            id: string;
            event: string;
            resource?: string | null;
            resource_id?: string | null;
            type: string;
            /** Format: uuid */
            workspace: string;
            created_by: string;
            /** Format: date-time */
            created_at: string;
        };
        /** @description The live data of a connection's actions. */
        ActionData: {
            /** Format: uuid */
            connection_id: string;
            integration_type: string;
            /** @description By the action's key, then by the member of the rule's metadata that the picked id is for. */
            actions: {
                [key: string]: {
                    [key: string]: components["schemas"]["Choices"];
                };
            };
        };
        Attempt: {
            /** Format: uuid */
            id: string;
            /** Format: uuid */
            event_id: string;
            /** Format: uuid */
            rule: string;
            /** Format: uuid */
            rule_event_id: string;
            /**
             * Format: int32
             * @description Counted from 1 over the delivery's whole life.
             */
            number: number;
            outcome_code: components["schemas"]["OutcomeCode"];
            message: string;
            /** Format: date-time */
            started_at: string;
            /** Format: date-time */
            completed_at: string;
            /** Format: int64 */
            duration_ms: number;
            /**
             * Format: int32
             * @description How many requests it made.
             */
            steps: number;
            /**
             * Format: int32
             * @description The HTTP status of the last answer.
             */
            status_code?: number | null;
            request?: components["schemas"]["AttemptRequest"] | null;
            has_response_details: boolean;
        };
        /** @description A whole list, or a page of one. */
        AttemptList: {
            /**
             * Format: int32
             * @description How many records are in this answer.
             */
            count: number;
            /**
             * Format: int32
             * @description How many could have been.
             */
            limit: number;
            /** @description Send it as `cursor` for the next page; `null` on the last one. */
            next_cursor: string | null;
            records: components["schemas"]["Attempt"][];
        };
        /** @description The last request that was made. */
        AttemptRequest: {
            method: string;
            /** @description Without its query. */
            url: string;
        };
        Authentication: {
            type: components["schemas"]["AuthenticationType"];
            fields?: Record<string, unknown>[] | null;
            oauth?: Record<string, unknown> | null;
        };
        /** @enum {string} */
        AuthenticationType: "api_key" | "basic" | "none" | "oauth";
        /** @enum {string} */
        BodyEncoding: "utf8" | "base64";
        CatalogField: {
            key: string;
            label?: string | null;
            type: components["schemas"]["FieldType"];
            description?: string | null;
            constraints?: Record<string, unknown> | null;
            provider_meta?: Record<string, unknown> | null;
        };
        Check: {
            status: string;
            message?: string | null;
            /** @description Whose account it is, if the destination says. */
            account?: string | null;
            /** Format: date-time */
            checked_at: string;
        };
        Choice: {
            id: string;
            label: string;
            options?: components["schemas"]["Choice"][] | null;
        };
        /** @description One page of things to pick from, or why there is none. */
        Choices: {
            choices?: components["schemas"]["Choice"][] | null;
            next_cursor?: string | null;
            /** Format: date-time */
            refreshed_at?: string | null;
            /** Format: int64 */
            age_seconds?: number | null;
            /** @description The destination could not be asked; this is what it said before. */
            stale?: boolean | null;
            error?: components["schemas"]["Trouble"] | null;
        };
        /**
         * @description Whether deliveries go out, as far as the destination works: `closed` they do, `open` they wait since
         *     it failed again and again, `probing` one is under way, to see.
         * @enum {string}
         */
        Circuit: "closed" | "open" | "probing";
        Connection: {
            /** Format: uuid */
            id: string;
            /** Format: uuid */
            workspace: string;
            type: string;
            name: string;
            /** @description Secrets are masked; one that Heddle has just made is shown this once. */
            metadata: Record<string, unknown>;
            action_data?: Record<string, unknown> | null;
            active: boolean;
            inactive_reason?: components["schemas"]["InactiveReason"] | null;
            /** @description Why it is inactive, in a sentence. */
            inactive_detail?: string | null;
            hidden: boolean;
            created_by: string;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            updated_at: string;
            check?: components["schemas"]["Check"] | null;
            circuit?: components["schemas"]["Circuit"] | null;
            /**
             * Format: date-time
             * @description Where the circuit is open: when the next delivery may go out, to see.
             */
            next_probe_at?: string | null;
        };
        /** @description A whole list, or a page of one. */
        ConnectionList: {
            /**
             * Format: int32
             * @description How many records are in this answer.
             */
            count: number;
            /**
             * Format: int32
             * @description How many could have been.
             */
            limit: number;
            /** @description Send it as `cursor` for the next page; `null` on the last one. */
            next_cursor: string | null;
            records: components["schemas"]["Connection"][];
        };
        CreateConnection: {
            /** Format: uuid */
            workspace: string;
            /** @description One of `GET /integrations`. */
            type: string;
            name: string;
            /**
             * @description The destination's settings and secrets, as `GET /integrations` asks for them; also
             *     `retry_schedule` and `concurrency`.
             */
            metadata: Record<string, unknown>;
            /** @description `true` when absent. */
            active?: boolean | null;
            hidden?: boolean | null;
        };
        CreateEntry: {
            key: string;
            label?: string | null;
            description?: string | null;
            active?: boolean | null;
        };
        CreateMachineKey: {
            name: string;
            /** @description As the caller's own when absent. */
            permissions?: string[] | null;
            /** @description As the caller's own when absent. */
            workspaces?: string[] | null;
            /** Format: int64 */
            expires_in_seconds?: number | null;
        };
        CreatePublishableKey: {
            name?: string | null;
            /**
             * Format: int64
             * @description The former keys end after this time; without it they stay.
             */
            overlap_seconds?: number | null;
            allowed_origins?: string[] | null;
            /** Format: int64 */
            expires_in_seconds?: number | null;
        };
        CreateRule: {
            /** Format: uuid */
            workspace: string;
            /** Format: uuid */
            connection: string;
            /** @description An event's name, a prefix that ends in `.*`, or `*`. */
            event: string;
            /** @description `action`, and what that action asks for. */
            metadata: Record<string, unknown>;
            resource?: string | null;
            resource_id?: string | null;
            /** @description A CEL expression over `event` and `payload`. */
            condition?: string | null;
            /**
             * @description A CEL expression over `event` and `payload`: the deliveries for which it comes to the same go out
             *     one after another, in the order of acceptance.
             */
            ordering_key?: string | null;
            ordering_on_failure?: components["schemas"]["OnFailure"] | null;
            /** @description Wins over the connection's default mapping. */
            mapping?: Record<string, unknown> | null;
            active?: boolean | null;
            hidden?: boolean | null;
        };
        CreateSession: {
            /** Format: uuid */
            workspace_id: string;
            role?: components["schemas"]["Role"] | null;
            session_type?: components["schemas"]["SessionType"] | null;
            external_user_id?: string | null;
            /**
             * Format: int32
             * @default 1800
             */
            ttl_seconds?: number | null;
            /**
             * Format: int32
             * @default 30
             */
            launch_ttl_seconds?: number | null;
            launch_page?: components["schemas"]["LaunchPage"] | null;
            launch_path?: components["schemas"]["LaunchPage"] | null;
            /** @description Only and always for a session of type `resource`. */
            resource?: string | null;
            resource_id?: string | null;
            allowed_origins?: string[] | null;
            /** @description Only `events.payload:read`. */
            scopes?: string[] | null;
        };
        CreateWorkspace: {
            name: string;
            description?: string | null;
        };
        CreatedConnection: {
            connection: components["schemas"]["Connection"];
        };
        CreatedEventType: {
            event_type: components["schemas"]["Entry"];
        };
        CreatedMachineKey: {
            key: components["schemas"]["MachineKey"];
            /** @description Shown this once. */
            secret_key: string;
        };
        CreatedPublishableKey: {
            publishable_key: components["schemas"]["PublishableKey"];
        };
        CreatedReplay: {
            replay: components["schemas"]["Replay"];
        };
        CreatedResource: {
            resource: components["schemas"]["Entry"];
        };
        CreatedRule: {
            rule: components["schemas"]["Rule"];
        };
        CreatedWorkspace: {
            workspace: components["schemas"]["Workspace"];
        };
        DefaultMapping: {
            status: components["schemas"]["MappingStatus"];
            mapping: components["schemas"]["Mapping"];
        };
        DeleteConnection: {
            /** @description Deletes its rules too. */
            force_delete?: boolean | null;
        };
        DeleteWorkspace: {
            /** @description The workspace's name. */
            confirm: string;
        };
        DeletedConnection: {
            /** Format: uuid */
            id: string;
            type: string;
        };
        DeletedEntry: {
            /** Format: uuid */
            id: string;
            key: string;
        };
        DeletedPublishableKey: {
            /** Format: uuid */
            id: string;
            name: string;
        };
        DeletedRule: {
            /** Format: uuid */
            id: string;
            /** Format: uuid */
            connection: string;
            type: string;
            event: string;
            resource?: string | null;
            resource_id?: string | null;
        };
        DeletedWorkspace: {
            /** Format: uuid */
            id: string;
            name: string;
        };
        DryRun: {
            /** Format: uuid */
            workspace: string;
            /**
             * Format: int32
             * @description Events that the rule was held against.
             */
            checked: number;
            /** Format: int32 */
            matched: number;
            /** @description How often each outcome came out. */
            outcomes: {
                [key: string]: number;
            };
            next_cursor: string | null;
            /** @description The newest first. */
            records: components["schemas"]["DryRunRecord"][];
            preview?: components["schemas"]["DryRunPreview"] | null;
        };
        DryRunPreview: {
            /** Format: uuid */
            event_id: string;
            request?: components["schemas"]["PreviewedRequest"] | null;
            /** @description Why nothing would be sent. */
            message?: string | null;
        };
        DryRunRecord: {
            /** Format: uuid */
            event_id: string;
            event: string;
            resource: string;
            resource_id?: string | null;
            /** Format: date-time */
            created_at: string;
            matched: boolean;
            outcome: string;
            /** @description For people. */
            reason: string;
            condition?: components["schemas"]["Explanation"] | null;
        };
        DryRunRequest: {
            /** Format: uuid */
            workspace: string;
            /**
             * Format: uuid
             * @description A stored rule; or else `rule`.
             */
            rule_id?: string | null;
            /**
             * @description One that is not saved: `event`, `resource`, `resource_id`, `condition`; with `preview` also
             *     `connection` and `metadata`, and perhaps `mapping`.
             */
            rule?: Record<string, unknown> | null;
            /**
             * Format: int32
             * @description How many of the newest events.
             * @default 100
             */
            last?: number | null;
            cursor?: string | null;
            /** @description Whether to show what would be sent for the newest event that matched. */
            preview?: boolean | null;
        };
        EmitEvent: {
            /** @description Dot-separated by convention. */
            event: string;
            /**
             * @description Any JSON object, at most 256 KiB and 64 levels deep; kept byte for byte. An `email` at its top must
             *     be an address.
             */
            payload: Record<string, unknown>;
            /** @description `global` when absent. */
            resource?: string | null;
            resource_id?: string | null;
            type?: string | null;
            /**
             * Format: uuid
             * @description Required with a machine token of several workspaces; settled by a publishable key.
             */
            workspace?: string | null;
            /** @description The event's idempotency key. */
            id?: string | null;
        };
        /** @description Each record stands at its item's place: the event, or an error. */
        EmittedBulk: {
            /** Format: int32 */
            count: number;
            /**
             * Format: int32
             * @description Absent when all were accepted.
             */
            error_count?: number | null;
            records: Record<string, unknown>[];
        };
        EmittedEvent: {
            event: components["schemas"]["AcceptedEvent"];
        };
        /** @enum {string} */
        EndedStatus: "completed" | "failed" | "canceled";
        EndedStatuses: components["schemas"]["EndedStatus"] | components["schemas"]["EndedStatus"][];
        /** @description What a workspace calls its events or resources. It describes and does not restrict. */
        Entry: {
            /** Format: uuid */
            id: string;
            /** @description The event's name, or the resource. */
            key: string;
            label: string;
            description: string | null;
            active: boolean;
            /** @description `null` for those that every workspace has from the start. */
            created_by: string | null;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            updated_at: string;
        };
        /** @description What went wrong. */
        Error: {
            /** @description The HTTP status in words. */
            message: string;
            error: components["schemas"]["ErrorDetail"];
            /** @description A stable word in snake_case, for programs. */
            code: string;
            /** @description The request's id, as in the header `X-Request-Id`; not in the items of a bulk. */
            request_id?: string | null;
        };
        ErrorDetail: {
            /** @description The HTTP status as one word. */
            name: string;
            /** @description What is wrong, and what to do about it. */
            message: string;
            /** @description Which parameters are wrong. */
            data?: components["schemas"]["Problem"][] | null;
            /** @description The counter that is used up, of a `quota_exceeded`. */
            quota?: unknown;
        };
        Event: {
            /** Format: uuid */
            id: string;
            event: string;
            resource?: string | null;
            resource_id?: string | null;
            type: string;
            /** Format: uuid */
            workspace: string;
            created_by: string;
            /** Format: date-time */
            created_at: string;
            status: components["schemas"]["Status"];
            /**
             * Format: int32
             * @description How many rules it matched.
             */
            total_rules: number;
            /** Format: int32 */
            completed_count: number;
            /** Format: int32 */
            failed_count: number;
            /** Format: date-time */
            started_at?: string | null;
            /** Format: date-time */
            completed_at?: string | null;
            /** @description In the answer to `GET` of one event. */
            rule_events?: components["schemas"]["RuleEvent"][] | null;
        };
        /** @description A whole list, or a page of one. */
        EventList: {
            /**
             * Format: int32
             * @description How many records are in this answer.
             */
            count: number;
            /**
             * Format: int32
             * @description How many could have been.
             */
            limit: number;
            /** @description Send it as `cursor` for the next page; `null` on the last one. */
            next_cursor: string | null;
            records: components["schemas"]["Event"][];
        };
        EventWithPayload: {
            /** Format: uuid */
            id: string;
            event: string;
            resource?: string | null;
            resource_id?: string | null;
            type: string;
            /** Format: uuid */
            workspace: string;
            created_by: string;
            /** Format: date-time */
            created_at: string;
            status: components["schemas"]["Status"];
            /**
             * Format: int32
             * @description How many rules it matched.
             */
            total_rules: number;
            /** Format: int32 */
            completed_count: number;
            /** Format: int32 */
            failed_count: number;
            /** Format: date-time */
            started_at?: string | null;
            /** Format: date-time */
            completed_at?: string | null;
            /** @description In the answer to `GET` of one event. */
            rule_events?: components["schemas"]["RuleEvent"][] | null;
        } & {
            /** @description Byte for byte as it was sent; `null` when it is no longer kept. */
            payload: Record<string, unknown> | null;
            /** @description Only there, and `true`, when the payload is past its time. */
            payload_gone?: boolean | null;
        };
        /** @description A rule, and what it made of an event. */
        Explained: {
            /** Format: uuid */
            rule: string;
            /** Format: uuid */
            connection: string;
            type: string;
            /** @description Whether it led to a delivery, whatever it would do now. */
            matched: boolean;
            outcome: string;
            /** @description For people. */
            reason: string;
            /** @description What the rule as it is now makes of the event; absent when it is deleted. */
            now?: string | null;
            /** @description Whether the rule was changed after the event. */
            changed_since: boolean;
            rule_deleted: boolean;
            connection_active: boolean;
            condition?: components["schemas"]["Explanation"] | null;
            rule_event?: components["schemas"]["ExplainedRuleEvent"] | null;
        };
        /** @description A whole list, or a page of one. */
        ExplainedList: {
            /**
             * Format: int32
             * @description How many records are in this answer.
             */
            count: number;
            /**
             * Format: int32
             * @description How many could have been.
             */
            limit: number;
            /** @description Send it as `cursor` for the next page; `null` on the last one. */
            next_cursor: string | null;
            records: components["schemas"]["Explained"][];
        };
        ExplainedRuleEvent: {
            /** Format: uuid */
            id: string;
            status: components["schemas"]["Status"];
            /**
             * Format: uuid
             * @description The event whose delivery by this rule comes first.
             */
            waits_for?: string | null;
        };
        /** @description What a condition came to. */
        Explanation: {
            /** @description `null` when it failed. */
            result: boolean | null;
            failure?: string | null;
            /** @description The smallest part that alone decided. */
            decisive: Record<string, unknown>;
        };
        /** @description What fields a destination has. */
        FieldCatalog: {
            /** Format: uuid */
            id: string;
            /** Format: uuid */
            workspace_id: string;
            /** Format: uuid */
            connection_id: string;
            integration_type: string;
            /** @description Changes when the fields do. */
            catalog_version: string;
            /** Format: date-time */
            refreshed_at: string;
            created_by: string;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            updated_at: string;
            fields: components["schemas"]["CatalogField"][];
            /** Format: int64 */
            age_seconds: number;
            stale: boolean;
            error?: components["schemas"]["Trouble"] | null;
        };
        /** @enum {string} */
        FieldType: "string" | "number" | "boolean" | "date" | "datetime" | "enum" | "multi_enum" | "json" | "object" | "array" | "unknown";
        /** @description A session with its access token; `launch_…` only when it is new. */
        GrantedSession: {
            session_id: string;
            access_token: string;
            /**
             * Format: int64
             * @description Seconds.
             */
            expires_in: number;
            /** Format: date-time */
            expires_at: string;
            launch_token?: string | null;
            /** Format: date-time */
            launch_expires_at?: string | null;
            launch_url?: string | null;
            /** Format: uuid */
            workspace_id: string;
            role: components["schemas"]["Role"];
            session_type: components["schemas"]["SessionType"];
            resource?: string | null;
            resource_id?: string | null;
        };
        /** @enum {string} */
        InactiveReason: "authentication_invalid" | "oauth_authorization_revoked" | "oauth_reauthorization_required" | "manually_inactivated";
        Instant: string | number;
        /** @description A destination that can be connected. */
        Integration: {
            name: string;
            type: string;
            authentication: components["schemas"]["Authentication"];
            /** @description By key. */
            actions: Record<string, unknown>;
        };
        /** @description A whole list, or a page of one. */
        IntegrationList: {
            /**
             * Format: int32
             * @description How many records are in this answer.
             */
            count: number;
            /**
             * Format: int32
             * @description How many could have been.
             */
            limit: number;
            /** @description Send it as `cursor` for the next page; `null` on the last one. */
            next_cursor: string | null;
            records: components["schemas"]["Integration"][];
        };
        /** @enum {string} */
        LaunchPage: "dashboard" | "connections" | "rules" | "events";
        /** @description `null` is without limit. */
        LimitSet: {
            /** @description Events a second, such as `100/1s`. */
            rate: string | null;
            /** Format: int64 */
            events_per_month: number | null;
            /** Format: int64 */
            connections: number | null;
            /** Format: int64 */
            rules: number | null;
            /**
             * Format: int32
             * @description Days for which payloads are kept after their event ended; `null` is for ever.
             */
            payload_days: number | null;
            /**
             * Format: int32
             * @description The same of attempts and their answers.
             */
            attempt_days: number | null;
            /**
             * Format: int32
             * @description The same of events and their deliveries.
             */
            event_days: number | null;
        };
        MachineKey: {
            access_key: string;
            /** Format: uuid */
            organization_id: string;
            name: string;
            /** @description All of them when the key is not limited. */
            permissions: string[];
            /** @description `null` when the key is not limited. */
            workspaces: string[] | null;
            status: components["schemas"]["MachineKeyStatus"];
            created_by?: string | null;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            expires_at?: string | null;
            /** Format: date-time */
            revoked_at?: string | null;
        };
        /** @description A whole list, or a page of one. */
        MachineKeyList: {
            /**
             * Format: int32
             * @description How many records are in this answer.
             */
            count: number;
            /**
             * Format: int32
             * @description How many could have been.
             */
            limit: number;
            /** @description Send it as `cursor` for the next page; `null` on the last one. */
            next_cursor: string | null;
            records: components["schemas"]["MachineKey"][];
        };
        /** @enum {string} */
        MachineKeyStatus: "active" | "expired" | "revoked";
        Mapping: {
            /** Format: uuid */
            id: string;
            /** Format: uuid */
            mapping_id: string;
            /** Format: int32 */
            version: number;
            /** Format: uuid */
            workspace_id: string;
            /** Format: uuid */
            connection_id: string;
            integration_type: string;
            name: string;
            schema: components["schemas"]["MappingSchema"];
            catalog_version?: string | null;
            created_by?: string | null;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            updated_at: string;
        };
        MappingField: {
            dest: string;
            /** @description A path into the payload, or a literal. */
            source: Record<string, unknown>;
            transforms?: Record<string, unknown>[] | null;
            on_error?: components["schemas"]["OnError"] | null;
            notes?: string | null;
        };
        /** @description Which destination field gets what. */
        MappingSchema: {
            /** Format: int32 */
            schema_version: number;
            fields: components["schemas"]["MappingField"][];
            meta?: Record<string, unknown> | null;
        };
        /** @enum {string} */
        MappingStatus: "stored" | "generated";
        /** @description How much of the month's quota is used. */
        MonthUsage: {
            /** Format: date */
            from: string;
            /** Format: int64 */
            events: number;
            /**
             * Format: int64
             * @description `null` is without limit.
             */
            limit: number | null;
            /** Format: date-time */
            resets_at?: string | null;
        };
        /** @enum {string} */
        OnError: "skip_field" | "warn_action" | "fail_action";
        /**
         * @description What becomes of those behind a delivery that has failed for good.
         * @enum {string}
         */
        OnFailure: "continue" | "hold";
        /** @enum {string} */
        OutcomeCode: "delivered" | "rejected_client_error" | "rejected_server_error" | "rate_limited" | "auth_failed" | "timeout" | "network_error" | "mapping_error" | "internal_error";
        PreviewedHeader: {
            name: string;
            value: string;
        };
        PreviewedRequest: {
            method: string;
            url: string;
            headers: components["schemas"]["PreviewedHeader"][];
            body: string;
            /** @description `utf8` or `base64`. */
            body_encoding: string;
            /** @description Whether the body is longer than what is shown. */
            truncated: boolean;
        };
        Problem: {
            /** @description A member of the body such as `metadata.url`, a query parameter, a header. */
            param: string;
            msg: string;
        };
        PublishableKey: {
            /** Format: uuid */
            id: string;
            name: string;
            /** @description For callers with `keys:read`. */
            public_key?: string | null;
            status: components["schemas"]["PublishableKeyStatus"];
            /** @description Empty: pages of any origin. */
            allowed_origins: string[];
            created_by?: string | null;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            expires_at?: string | null;
        };
        /** @description A whole list, or a page of one. */
        PublishableKeyList: {
            /**
             * Format: int32
             * @description How many records are in this answer.
             */
            count: number;
            /**
             * Format: int32
             * @description How many could have been.
             */
            limit: number;
            /** @description Send it as `cursor` for the next page; `null` on the last one. */
            next_cursor: string | null;
            records: components["schemas"]["PublishableKey"][];
        };
        /** @enum {string} */
        PublishableKeyStatus: "active" | "expired";
        PublishableKeyText: {
            /** @description Safe in a browser: it emits events into its workspace and opens nothing else. */
            public_key: string;
            name: string;
        };
        PutLimits: {
            rate?: string | null;
            /** Format: int64 */
            events_per_month?: number | null;
            /** Format: int64 */
            connections?: number | null;
            /** Format: int64 */
            rules?: number | null;
            /**
             * Format: int32
             * @description Not more than `attempt_days`.
             */
            payload_days?: number | null;
            /**
             * Format: int32
             * @description Not more than `event_days`.
             */
            attempt_days?: number | null;
            /** Format: int32 */
            event_days?: number | null;
        };
        PutMapping: {
            schema: components["schemas"]["MappingSchema"];
            name?: string | null;
            /** Format: uuid */
            mapping_id?: string | null;
            /** Format: uuid */
            workspace_id?: string | null;
            /**
             * Format: int32
             * @description 409 when the stored mapping has another version by now.
             */
            expected_version?: number | null;
        };
        Replay: {
            /** Format: uuid */
            id: string;
            /** Format: uuid */
            workspace: string;
            rules: components["schemas"]["ReplayRules"];
            filter: components["schemas"]["ReplayFilter"];
            /** Format: int32 */
            rate: number;
            status: components["schemas"]["ReplayStatus"];
            /**
             * Format: int32
             * @description What it was to look at when it was made: deliveries, or events with the rules of now.
             */
            total: number;
            /** Format: int32 */
            processed: number;
            /** Format: int32 */
            replayed: number;
            /** Format: int32 */
            created: number;
            /** Format: int32 */
            skipped: number;
            created_by: string;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            updated_at: string;
            /** Format: date-time */
            completed_at: string | null;
        };
        ReplayFilter: {
            rule: string | null;
            connection: string | null;
            event: string | null;
            status: components["schemas"]["Status"][];
            from: string | null;
            to: string | null;
        };
        /** @description A whole list, or a page of one. */
        ReplayList: {
            /**
             * Format: int32
             * @description How many records are in this answer.
             */
            count: number;
            /**
             * Format: int32
             * @description How many could have been.
             */
            limit: number;
            /** @description Send it as `cursor` for the next page; `null` on the last one. */
            next_cursor: string | null;
            records: components["schemas"]["Replay"][];
        };
        ReplayPreview: {
            /** Format: int32 */
            count: number;
            /** @description Whether that is all: counting looks at 200,000 rows at most. */
            exact: boolean;
        };
        ReplayRequest: {
            /** Format: uuid */
            workspace: string;
            /** Format: uuid */
            rule?: string | null;
            /** Format: uuid */
            connection?: string | null;
            /** @description Of events of this name. */
            event?: string | null;
            status?: components["schemas"]["EndedStatuses"] | null;
            from?: components["schemas"]["Instant"] | null;
            to?: components["schemas"]["Instant"] | null;
            rules?: components["schemas"]["ReplayRules"] | null;
            /**
             * Format: int32
             * @description Rows a second.
             * @default 100
             */
            rate?: number | null;
            paused?: boolean | null;
        };
        /** @enum {string} */
        ReplayRules: "original" | "current";
        /** @enum {string} */
        ReplayStatus: "running" | "paused" | "completed" | "canceled";
        /** @description What a destination answered to an attempt that failed. */
        ResponseDetails: {
            /** Format: uuid */
            attempt_id: string;
            /** Format: int32 */
            status_code: number;
            headers: Record<string, unknown>;
            body: string;
            body_encoding: components["schemas"]["BodyEncoding"];
            truncated: boolean;
        };
        Revoked: {
            /** @description `false` when it was revoked before. */
            revoked: boolean;
        };
        /** @enum {string} */
        Role: "member" | "admin" | "owner";
        Rule: {
            /** Format: uuid */
            id: string;
            /** Format: uuid */
            connection: string;
            /** Format: uuid */
            workspace: string;
            /** @description The connection's type. */
            type: string;
            resource?: string | null;
            resource_id?: string | null;
            event: string;
            metadata: Record<string, unknown>;
            condition?: string | null;
            ordering_key?: string | null;
            ordering_on_failure?: components["schemas"]["OnFailure"] | null;
            mapping?: Record<string, unknown> | null;
            active: boolean;
            hidden: boolean;
            created_by: string;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            updated_at: string;
        };
        /** @description A delivery: one event by one rule. */
        RuleEvent: {
            /**
             * Format: uuid
             * @description The same in every attempt: the receiver's deduplication key.
             */
            id: string;
            type: string;
            /** Format: uuid */
            workspace: string;
            event: string;
            /** Format: uuid */
            event_id: string;
            resource?: string | null;
            resource_id?: string | null;
            /** Format: uuid */
            connection: string;
            /** Format: uuid */
            rule: string;
            integration_type: string;
            status: components["schemas"]["Status"];
            /** Format: int32 */
            attempt_count: number;
            /** Format: date-time */
            started_at?: string | null;
            /** Format: date-time */
            completed_at?: string | null;
            /** Format: date-time */
            next_attempt_at?: string | null;
            /**
             * Format: uuid
             * @description The event whose delivery by this rule comes first: it has the same ordering key.
             */
            waits_for?: string | null;
            /**
             * @description `true` when it has failed, and those behind it with the same ordering key wait until it is tried
             *     again with success, or canceled.
             */
            holds_others?: boolean | null;
            last_error?: string | null;
            created_by: string;
            /** Format: date-time */
            created_at: string;
        };
        /** @description A whole list, or a page of one. */
        RuleList: {
            /**
             * Format: int32
             * @description How many records are in this answer.
             */
            count: number;
            /**
             * Format: int32
             * @description How many could have been.
             */
            limit: number;
            /** @description Send it as `cursor` for the next page; `null` on the last one. */
            next_cursor: string | null;
            records: components["schemas"]["Rule"][];
        };
        Session: {
            session_id: string;
            /** Format: uuid */
            workspace_id: string;
            role: components["schemas"]["Role"];
            external_user_id?: string | null;
            status: components["schemas"]["SessionStatus"];
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            expires_at: string;
            is_expired: boolean;
            session_type: components["schemas"]["SessionType"];
            resource?: string | null;
            resource_id?: string | null;
        };
        /** @description A whole list, or a page of one. */
        SessionList: {
            /**
             * Format: int32
             * @description How many records are in this answer.
             */
            count: number;
            /**
             * Format: int32
             * @description How many could have been.
             */
            limit: number;
            /** @description Send it as `cursor` for the next page; `null` on the last one. */
            next_cursor: string | null;
            records: components["schemas"]["Session"][];
        };
        /** @enum {string} */
        SessionStatus: "active" | "revoked";
        /** @enum {string} */
        SessionType: "workspace" | "resource" | "dashboard";
        /** @enum {string} */
        Status: "pending" | "processing" | "retrying" | "completed" | "failed" | "canceled";
        /** @description Why the destination could not be asked. */
        Trouble: {
            code: string;
            message: string;
        };
        UpdateConnection: {
            name: string;
            /** @description A secret that is absent, or the mask that an answer showed, stays as it is; `null` removes it. */
            metadata: Record<string, unknown>;
            /** @description `false` holds its deliveries back until it is `true` again. */
            active?: boolean | null;
            hidden?: boolean | null;
        };
        UpdateEntry: {
            key?: string | null;
            label?: string | null;
            description?: string | null;
            active?: boolean | null;
        };
        UpdateRule: {
            /**
             * Format: uuid
             * @description The rule's own.
             */
            workspace?: string | null;
            /** Format: uuid */
            connection?: string | null;
            event?: string | null;
            metadata?: Record<string, unknown> | null;
            resource?: string | null;
            resource_id?: string | null;
            condition?: string | null;
            /** @description `null` removes it. */
            ordering_key?: string | null;
            ordering_on_failure?: components["schemas"]["OnFailure"] | null;
            mapping?: Record<string, unknown> | null;
            active?: boolean | null;
            hidden?: boolean | null;
        };
        /** @description Days are in UTC. */
        Usage: {
            /** Format: date */
            from: string;
            /** Format: date */
            to: string;
            total: components["schemas"]["UsageCounters"];
            /** @description Those on which something was done, the earliest first. */
            days: components["schemas"]["UsageOfDay"][];
            /** @description Those in which something was done. */
            workspaces: components["schemas"]["UsageOfWorkspace"][];
            month: components["schemas"]["MonthUsage"] | null;
        };
        UsageCounters: {
            /** Format: int64 */
            events: number;
            /**
             * Format: int64
             * @description Of payloads.
             */
            bytes: number;
            /** Format: int64 */
            deliveries: number;
            /** Format: int64 */
            attempts: number;
            /** Format: int64 */
            delivered: number;
            /** Format: int64 */
            failed: number;
        };
        UsageOfDay: {
            /** Format: date */
            day: string;
            /** Format: int64 */
            events: number;
            /** Format: int64 */
            bytes: number;
            /** Format: int64 */
            deliveries: number;
            /** Format: int64 */
            attempts: number;
            /** Format: int64 */
            delivered: number;
            /** Format: int64 */
            failed: number;
        };
        UsageOfWorkspace: {
            /** Format: uuid */
            workspace: string;
            /** Format: int64 */
            events: number;
            /** Format: int64 */
            bytes: number;
            /** Format: int64 */
            deliveries: number;
            /** Format: int64 */
            attempts: number;
            /** Format: int64 */
            delivered: number;
            /** Format: int64 */
            failed: number;
        };
        Workspace: {
            /** Format: uuid */
            id: string;
            name: string;
            description: string | null;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            updated_at: string;
            publishable_key?: components["schemas"]["PublishableKeyText"] | null;
        };
        WorkspaceLimits: {
            /** Format: uuid */
            workspace: string;
            /** @description What holds. */
            limits: components["schemas"]["LimitSet"];
            /** @description What was set for this workspace; `null` is as for all. */
            own: components["schemas"]["LimitSet"];
        };
        /** @description A whole list, or a page of one. */
        WorkspaceList: {
            /**
             * Format: int32
             * @description How many records are in this answer.
             */
            count: number;
            /**
             * Format: int32
             * @description How many could have been.
             */
            limit: number;
            /** @description Send it as `cursor` for the next page; `null` on the last one. */
            next_cursor: string | null;
            records: components["schemas"]["Workspace"][];
        };
        WorkspaceUsage: {
            /** Format: uuid */
            workspace: string;
            /** Format: date */
            from: string;
            /** Format: date */
            to: string;
            total: components["schemas"]["UsageCounters"];
            days: components["schemas"]["UsageOfDay"][];
            month: components["schemas"]["MonthUsage"];
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    listWorkspaces: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WorkspaceList"];
                };
            };
        };
    };
    createWorkspace: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CreateWorkspace"];
            };
        };
        responses: {
            /** @description It worked. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CreatedWorkspace"];
                };
            };
        };
    };
    getWorkspace: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                workspace: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Workspace"];
                };
            };
        };
    };
    updateWorkspace: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                workspace: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CreateWorkspace"];
            };
        };
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Workspace"];
                };
            };
        };
    };
    deleteWorkspace: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                workspace: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["DeleteWorkspace"];
            };
        };
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeletedWorkspace"];
                };
            };
        };
    };
    listWorkspaceConnections: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                workspace: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ConnectionList"];
                };
            };
        };
    };
    listWorkspaceRules: {
        parameters: {
            query?: {
                /** @description Of this name. */
                event?: string;
                /** @description Of this resource. */
                resource?: string;
                /** @description Of this resource's id. */
                resource_id?: string;
            };
            header?: never;
            path: {
                workspace: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RuleList"];
                };
            };
        };
    };
    listWorkspaceEvents: {
        parameters: {
            query?: {
                /** @description Of this name. */
                event?: string;
                /** @description Of this resource. */
                resource?: string;
                /** @description Of this resource's id. */
                resource_id?: string;
                /** @description Of this status. */
                status?: "pending" | "processing" | "retrying" | "completed" | "failed" | "canceled";
                /** @description How many records at most. */
                limit?: number;
                /** @description The `next_cursor` of the page before. */
                cursor?: string;
            };
            header?: never;
            path: {
                workspace: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EventList"];
                };
            };
        };
    };
    listPublishableKeys: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                workspace: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PublishableKeyList"];
                };
            };
        };
    };
    createPublishableKey: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                workspace: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["CreatePublishableKey"];
            };
        };
        responses: {
            /** @description It worked. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CreatedPublishableKey"];
                };
            };
        };
    };
    deletePublishableKey: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                workspace: string;
                publishable_key: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeletedPublishableKey"];
                };
            };
        };
    };
    listEventTypes: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                workspace: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Entry"][];
                };
            };
        };
    };
    createEventType: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                workspace: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CreateEntry"];
            };
        };
        responses: {
            /** @description It worked. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CreatedEventType"];
                };
            };
        };
    };
    updateEventType: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                workspace: string;
                event_type: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["UpdateEntry"];
            };
        };
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Entry"];
                };
            };
        };
    };
    deleteEventType: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                workspace: string;
                event_type: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeletedEntry"];
                };
            };
        };
    };
    listResources: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                workspace: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Entry"][];
                };
            };
        };
    };
    createResource: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                workspace: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CreateEntry"];
            };
        };
        responses: {
            /** @description It worked. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CreatedResource"];
                };
            };
        };
    };
    updateResource: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                workspace: string;
                resource: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["UpdateEntry"];
            };
        };
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Entry"];
                };
            };
        };
    };
    deleteResource: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                workspace: string;
                resource: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeletedEntry"];
                };
            };
        };
    };
    getWorkspaceUsage: {
        parameters: {
            query?: {
                /** @description The first day, in UTC; the month's first when absent. */
                from?: string;
                /** @description The last day; today when absent. At most 366 days. */
                to?: string;
            };
            header?: never;
            path: {
                workspace: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WorkspaceUsage"];
                };
            };
        };
    };
    getWorkspaceLimits: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                workspace: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WorkspaceLimits"];
                };
            };
        };
    };
    putWorkspaceLimits: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                workspace: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PutLimits"];
            };
        };
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WorkspaceLimits"];
                };
            };
        };
    };
    getUsage: {
        parameters: {
            query?: {
                /** @description The first day, in UTC; the month's first when absent. */
                from?: string;
                /** @description The last day; today when absent. At most 366 days. */
                to?: string;
                /** @description Of this workspace. */
                workspace?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Usage"];
                };
            };
        };
    };
    listIntegrations: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IntegrationList"];
                };
            };
        };
    };
    listConnections: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ConnectionList"];
                };
            };
        };
    };
    createConnection: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CreateConnection"];
            };
        };
        responses: {
            /** @description It worked. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CreatedConnection"];
                };
            };
        };
    };
    getConnection: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                connection: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Connection"];
                };
            };
        };
    };
    updateConnection: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                connection: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["UpdateConnection"];
            };
        };
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Connection"];
                };
            };
        };
    };
    deleteConnection: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                connection: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["DeleteConnection"];
            };
        };
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeletedConnection"];
                };
            };
        };
    };
    getConnectionActions: {
        parameters: {
            query?: {
                /** @description Of this action only. */
                action?: string;
                /** @description Of this input only. */
                input?: string;
                /** @description Only what matches. */
                search?: string;
                /** @description The `next_cursor` of an input's choices. */
                cursor?: string;
                /** @description Ask the destination, however fresh the kept answer is. */
                refresh?: boolean;
            };
            header?: never;
            path: {
                connection: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ActionData"];
                };
            };
        };
    };
    getConnectionFields: {
        parameters: {
            query?: {
                /** @description Ask the destination, however fresh the kept answer is. */
                refresh?: boolean;
            };
            header?: never;
            path: {
                connection: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["FieldCatalog"];
                };
            };
        };
    };
    getDefaultMapping: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                connection: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DefaultMapping"];
                };
            };
        };
    };
    putDefaultMapping: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                connection: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["PutMapping"];
            };
        };
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DefaultMapping"];
                };
            };
        };
    };
    checkConnection: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                connection: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Connection"];
                };
            };
        };
    };
    listRules: {
        parameters: {
            query?: {
                /** @description Of this name. */
                event?: string;
                /** @description Of this resource. */
                resource?: string;
                /** @description Of this resource's id. */
                resource_id?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RuleList"];
                };
            };
        };
    };
    createRule: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CreateRule"];
            };
        };
        responses: {
            /** @description It worked. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CreatedRule"];
                };
            };
        };
    };
    dryRunRule: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["DryRunRequest"];
            };
        };
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DryRun"];
                };
            };
        };
    };
    getRule: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                rule: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Rule"];
                };
            };
        };
    };
    updateRule: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                rule: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["UpdateRule"];
            };
        };
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Rule"];
                };
            };
        };
    };
    deleteRule: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                rule: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DeletedRule"];
                };
            };
        };
    };
    listEvents: {
        parameters: {
            query?: {
                /** @description Of this name. */
                event?: string;
                /** @description Of this resource. */
                resource?: string;
                /** @description Of this resource's id. */
                resource_id?: string;
                /** @description Of this status. */
                status?: "pending" | "processing" | "retrying" | "completed" | "failed" | "canceled";
                /** @description How many records at most. */
                limit?: number;
                /** @description The `next_cursor` of the page before. */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EventList"];
                };
            };
        };
    };
    emitEvent: {
        parameters: {
            query?: never;
            header?: {
                /** @description The same key with the same body gives the first answer again, with `Idempotent-Replay: true`; kept for 24 hours. */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["EmitEvent"];
                "application/cloudevents+json": unknown;
                "application/cloudevents-batch+json": unknown;
            };
        };
        responses: {
            /** @description It worked. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EmittedEvent"] | components["schemas"]["EmittedBulk"];
                };
            };
            /** @description It worked. */
            207: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EmittedBulk"];
                };
            };
        };
    };
    emitEvents: {
        parameters: {
            query?: never;
            header?: {
                /** @description The same key with the same body gives the first answer again, with `Idempotent-Replay: true`; kept for 24 hours. */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["EmitEvent"][];
                "application/cloudevents-batch+json": unknown;
            };
        };
        responses: {
            /** @description It worked. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EmittedBulk"];
                };
            };
            /** @description It worked. */
            207: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EmittedBulk"];
                };
            };
        };
    };
    getEvent: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                event: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Event"];
                };
            };
        };
    };
    getEventPayload: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                event: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EventWithPayload"];
                };
            };
        };
    };
    explainEvent: {
        parameters: {
            query?: {
                /** @description Only those that matched, or only those that did not. */
                matched?: boolean;
                /** @description How many records at most. */
                limit?: number;
                /** @description The `next_cursor` of the page before. */
                cursor?: string;
            };
            header?: never;
            path: {
                event: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ExplainedList"];
                };
            };
        };
    };
    cancelEvent: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                event: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Event"];
                };
            };
        };
    };
    retryRuleEvent: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                event: string;
                rule: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RuleEvent"];
                };
            };
        };
    };
    cancelRuleEvent: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                event: string;
                rule: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RuleEvent"];
                };
            };
        };
    };
    listAttempts: {
        parameters: {
            query?: {
                /** @description How many records at most. */
                limit?: number;
                /** @description The `next_cursor` of the page before. */
                cursor?: string;
            };
            header?: never;
            path: {
                event: string;
                rule: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AttemptList"];
                };
            };
        };
    };
    getAttempt: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                event: string;
                rule: string;
                attempt: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Attempt"];
                };
            };
        };
    };
    getResponseDetails: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                event: string;
                rule: string;
                attempt: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ResponseDetails"];
                };
            };
        };
    };
    listReplays: {
        parameters: {
            query?: {
                /** @description Of this workspace. */
                workspace?: string;
                /** @description How many records at most. */
                limit?: number;
                /** @description The `next_cursor` of the page before. */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ReplayList"];
                };
            };
        };
    };
    createReplay: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ReplayRequest"];
            };
        };
        responses: {
            /** @description It worked. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CreatedReplay"];
                };
            };
        };
    };
    previewReplay: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ReplayRequest"];
            };
        };
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ReplayPreview"];
                };
            };
        };
    };
    getReplay: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                replay: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Replay"];
                };
            };
        };
    };
    pauseReplay: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                replay: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Replay"];
                };
            };
        };
    };
    resumeReplay: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                replay: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Replay"];
                };
            };
        };
    };
    cancelReplay: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                replay: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Replay"];
                };
            };
        };
    };
    listSessions: {
        parameters: {
            query?: {
                /** @description Required. */
                workspace_id?: string;
                /** @description Of this status. */
                status?: "active" | "revoked";
                /** @description Of this resource. */
                resource?: string;
                /** @description Of this resource's id. */
                resource_id?: string;
                /** @description How many records at most. */
                limit?: number;
                /** @description The `next_cursor` of the page before. */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SessionList"];
                };
            };
        };
    };
    createSession: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CreateSession"];
            };
        };
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["GrantedSession"];
                };
            };
        };
    };
    refreshSession: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                session: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["GrantedSession"];
                };
            };
        };
    };
    revokeSession: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                session: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Revoked"];
                };
            };
        };
    };
    listKeys: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MachineKeyList"];
                };
            };
        };
    };
    createKey: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["CreateMachineKey"];
            };
        };
        responses: {
            /** @description It worked. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CreatedMachineKey"];
                };
            };
        };
    };
    revokeKey: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                access_key: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It worked. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Revoked"];
                };
            };
        };
    };
}
