//! What a caller may be allowed to do: one word for each kind of thing, declared beside each route and
//! granted to each key and session.

use std::fmt;

use http::Method;

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $word:literal),* $(,)?) => {
        /// A permission. The words are part of the API: keys are made with them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Permission {
            $($(#[$doc])* $name),*
        }

        impl Permission {
            /// All of them, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),* }
            }

            /// The permission of that word.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$name),)* _ => None }
            }
        }
    };
}

permissions! {
    /// See workspaces.
    WorkspacesRead = "workspaces:read",
    /// Make, change and delete workspaces.
    WorkspacesWrite = "workspaces:write",
    /// See which destinations can be connected.
    IntegrationsRead = "integrations:read",
    /// See the event types and resources of a workspace.
    CatalogRead = "catalog:read",
    /// Change them.
    CatalogWrite = "catalog:write",
    /// See connections: their settings, live choices, fields and mappings.
    ConnectionsRead = "connections:read",
    /// Make, change and delete connections and their mappings.
    ConnectionsWrite = "connections:write",
    /// See rules, and why they match.
    RulesRead = "rules:read",
    /// Make rules.
    RulesCreate = "rules:create",
    /// Make, change and delete rules.
    RulesWrite = "rules:write",
    /// See events, deliveries and attempts, without payloads.
    EventsRead = "events:read",
    /// Emit events.
    EventsEmit = "events:emit",
    /// Try deliveries again, and call them off.
    EventsRetry = "events:retry",
    /// Replay many deliveries at once.
    EventsReplay = "events:replay",
    /// See payloads.
    PayloadRead = "events.payload:read",
    /// See embed sessions.
    SessionsRead = "sessions:read",
    /// Make, refresh and revoke embed sessions.
    SessionsWrite = "sessions:write",
    /// See counters and limits.
    UsageRead = "usage:read",
    /// Change the limits of a workspace.
    LimitsWrite = "limits:write",
    /// See machine keys, and publishable keys.
    KeysRead = "keys:read",
    /// Make and revoke machine keys, and publishable keys.
    KeysWrite = "keys:write",
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of permissions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Permissions(u32);

impl Permissions {
    /// Every permission.
    pub const ALL: Self = Self::of(Permission::ALL);

    /// These, and what they include: who may write rules may make them.
    pub const fn of(permissions: &[Permission]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < permissions.len() {
            bits |= Self::bit(permissions[at]);
            if matches!(permissions[at], Permission::RulesWrite) {
                bits |= Self::bit(Permission::RulesCreate);
            }
            at += 1;
        }
        Self(bits)
    }

    const fn bit(permission: Permission) -> u32 {
        1 << permission as u32
    }

    /// These and those.
    pub const fn and(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    /// Whether the permission is in it.
    pub const fn has(self, permission: Permission) -> bool {
        self.0 & Self::bit(permission) != 0
    }

    /// Whether all of `others` are in it.
    pub const fn has_all(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// Those that are in it.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL
            .iter()
            .copied()
            .filter(move |permission| self.has(*permission))
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(Permission::as_str))
            .finish()
    }
}

/// Who is let in to a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Callers with this permission.
    Needs(Permission),
    /// Callers with the permission to emit, and publishable keys, from any page.
    Ingestion,
}

impl Access {
    /// What a caller must have.
    pub const fn permission(self) -> Permission {
        match self {
            Self::Needs(permission) => permission,
            Self::Ingestion => Permission::EventsEmit,
        }
    }
}

/// A route of the API, as the tests and the documents enumerate them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// `GET` and the like.
    pub method: Method,
    /// Below `/api/v1`, its parameters in braces.
    pub path: &'static str,
    /// Who is let in.
    pub access: Access,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_leads_to_its_permission_and_back() {
        assert!(Permission::ALL.len() <= 32, "they fit into the bits");
        for permission in Permission::ALL {
            assert_eq!(Permission::parse(permission.as_str()), Some(*permission));
            assert!(Permissions::ALL.has(*permission));
        }
        assert_eq!(Permission::parse("everything"), None);
    }

    #[test]
    fn a_set_has_what_it_was_made_of_and_what_that_includes() {
        let set = Permissions::of(&[Permission::RulesWrite, Permission::EventsRead]);
        let words: Vec<&str> = set.iter().map(Permission::as_str).collect();
        assert_eq!(words, ["rules:create", "rules:write", "events:read"]);
        assert!(Permissions::ALL.has_all(set) && !set.has_all(Permissions::ALL));
    }
}
