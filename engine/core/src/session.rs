//! Embed sessions: the words that a product's back end chooses from when it opens a part of Heddle to
//! one of its customers. What each opens is decided where callers are let in.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant),* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The contract's word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// From the contract's word.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

words! {
    /// What a session is about.
    SessionType {
        /// One workspace.
        Workspace = "workspace",
        /// The rules and events of one resource in a workspace.
        Resource = "resource",
        /// The overview of a workspace, to look at.
        Dashboard = "dashboard",
    }
}

words! {
    /// Who the person is to the product, the least first.
    Role {
        /// Looks, and tries again what failed.
        Member = "member",
        /// Also makes and changes.
        Admin = "admin",
        /// Whatever a session of the type can do.
        Owner = "owner",
    }
}

words! {
    /// The embedded page that a session begins with.
    LaunchPage {
        /// The overview.
        Dashboard = "dashboard",
        /// Connections.
        Connections = "connections",
        /// Rules.
        Rules = "rules",
        /// Events.
        Events = "events",
    }
}

impl SessionType {
    /// Whether a session of this type can begin with the page.
    pub fn shows(self, page: LaunchPage) -> bool {
        match self {
            Self::Workspace => true,
            Self::Resource => page != LaunchPage::Connections,
            Self::Dashboard => page == LaunchPage::Dashboard,
        }
    }
}

/// The one scope: payloads are shown.
pub const PAYLOAD_SCOPE: &str = "events.payload:read";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_begins_with_the_pages_that_it_has() {
        let pages = |of: SessionType| -> Vec<&str> {
            let pages = LaunchPage::ALL.iter().filter(|page| of.shows(**page));
            pages.map(|page| page.as_str()).collect()
        };
        assert_eq!(
            pages(SessionType::Workspace),
            ["dashboard", "connections", "rules", "events"]
        );
        assert_eq!(pages(SessionType::Resource), ["dashboard", "rules", "events"]);
        assert_eq!(pages(SessionType::Dashboard), ["dashboard"]);
        assert!(Role::Member < Role::Admin && Role::Admin < Role::Owner);
        assert_eq!(Role::parse("root"), None);
    }
}
