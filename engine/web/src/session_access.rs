//! What a session may do, by its type, its role and its scopes: the one table of it, which
//! `docs/access.md` repeats. Where it may do it is its reach.

use heddle_core::session::{PAYLOAD_SCOPE, Role, SessionType};

use crate::permission::{Permission as P, Permissions};

const WORKSPACE_MEMBER: Permissions = Permissions::of(&[
    P::WorkspacesRead,
    P::IntegrationsRead,
    P::CatalogRead,
    P::ConnectionsRead,
    P::RulesRead,
    P::EventsRead,
    P::EventsRetry,
    P::UsageRead,
]);

const WORKSPACE_ADMIN: Permissions = WORKSPACE_MEMBER.and(Permissions::of(&[
    P::ConnectionsWrite,
    P::RulesWrite,
    P::EventsEmit,
]));

const WORKSPACE_OWNER: Permissions =
    WORKSPACE_ADMIN.and(Permissions::of(&[P::CatalogWrite, P::EventsReplay]));

const RESOURCE_MEMBER: Permissions = Permissions::of(&[
    P::WorkspacesRead,
    P::IntegrationsRead,
    P::CatalogRead,
    P::RulesRead,
    P::EventsRead,
    P::EventsRetry,
]);

const RESOURCE_ADMIN: Permissions = RESOURCE_MEMBER.and(Permissions::of(&[P::RulesCreate, P::EventsEmit]));

const DASHBOARD: Permissions = Permissions::of(&[P::WorkspacesRead, P::IntegrationsRead, P::UsageRead]);

/// What a session of this type and role may do, before its scopes.
pub const fn by_role(kind: SessionType, role: Role) -> Permissions {
    match (kind, role) {
        (SessionType::Workspace, Role::Member) => WORKSPACE_MEMBER,
        (SessionType::Workspace, Role::Admin) => WORKSPACE_ADMIN,
        (SessionType::Workspace, Role::Owner) => WORKSPACE_OWNER,
        (SessionType::Resource, Role::Member) => RESOURCE_MEMBER,
        (SessionType::Resource, Role::Admin | Role::Owner) => RESOURCE_ADMIN,
        (SessionType::Dashboard, _) => DASHBOARD,
    }
}

/// What a session may do.
pub fn permissions(kind: SessionType, role: Role, scopes: &[String]) -> Permissions {
    let asked = scopes.iter().any(|scope| scope == PAYLOAD_SCOPE);
    if asked && kind != SessionType::Dashboard && role >= Role::Admin {
        by_role(kind, role).and(Permissions::of(&[P::PayloadRead]))
    } else {
        by_role(kind, role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_session_reaches_what_is_for_keys_alone_and_a_higher_role_loses_nothing() {
        let scopes = [PAYLOAD_SCOPE.to_owned()];
        for kind in SessionType::ALL {
            let mut before = Permissions::of(&[]);
            for role in Role::ALL {
                let now = permissions(*kind, *role, &scopes);
                for never in [
                    P::WorkspacesWrite,
                    P::SessionsRead,
                    P::SessionsWrite,
                    P::KeysRead,
                    P::KeysWrite,
                    P::LimitsWrite,
                ] {
                    assert!(!now.has(never), "{kind:?} {role:?} {never}");
                }
                assert!(now.has_all(before), "{kind:?} {role:?}");
                before = now;
            }
        }
    }

    #[test]
    fn payloads_need_the_role_and_the_scope() {
        let scopes = [PAYLOAD_SCOPE.to_owned()];
        let sees = |kind, role, scopes: &[String]| permissions(kind, role, scopes).has(P::PayloadRead);
        for kind in [SessionType::Workspace, SessionType::Resource] {
            assert!(sees(kind, Role::Admin, &scopes) && sees(kind, Role::Owner, &scopes));
            assert!(!sees(kind, Role::Member, &scopes) && !sees(kind, Role::Owner, &[]));
        }
        assert!(!sees(SessionType::Dashboard, Role::Owner, &scopes));
    }
}
