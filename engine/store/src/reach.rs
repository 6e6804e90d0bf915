//! How far a caller's word goes: the rows that a verb may find for it.

use std::sync::Arc;

use heddle_core::id::{OrganisationId, WorkspaceId};

/// Which rows a verb finds: those of one organization, perhaps of some of its workspaces only, and
/// of the rules and events there perhaps only those of one resource. Whatever is outside is not there.
/// Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The organization.
    pub organisation: OrganisationId,
    /// The workspaces; `None` is all of them.
    pub workspaces: Option<Arc<[WorkspaceId]>>,
    /// The only resource whose rules and events are found; `None` is any.
    pub resource: Option<Arc<ResourceKey>>,
}

/// A resource of the product: a course, a project, a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceKey {
    /// Its kind.
    pub resource: String,
    /// Which one of these.
    pub resource_id: String,
}

/// Everything of the organization.
impl From<OrganisationId> for Reach {
    fn from(organisation: OrganisationId) -> Self {
        Self {
            organisation,
            workspaces: None,
            resource: None,
        }
    }
}

impl Reach {
    /// Whether a workspace of the organization is within.
    pub fn covers(&self, workspace: WorkspaceId) -> bool {
        self.workspaces
            .as_ref()
            .is_none_or(|workspaces| workspaces.contains(&workspace))
    }

    /// The one workspace that is within, if it is only one.
    pub fn only_workspace(&self) -> Option<WorkspaceId> {
        match self.workspaces.as_deref() {
            Some([only]) => Some(*only),
            _ => None,
        }
    }

    /// Whether a rule or an event of the workspace is within.
    pub fn covers_resource(
        &self,
        workspace: WorkspaceId,
        resource: Option<&str>,
        resource_id: Option<&str>,
    ) -> bool {
        self.covers(workspace) && self.is_of_resource(resource, resource_id)
    }

    /// Whether the resource is the one that it is narrowed to, if it is.
    pub fn is_of_resource(&self, resource: Option<&str>, resource_id: Option<&str>) -> bool {
        self.resource.as_ref().is_none_or(|only| {
            resource == Some(only.resource.as_str()) && resource_id == Some(only.resource_id.as_str())
        })
    }
}

#[cfg(test)]
mod tests {
    use heddle_core::time::Timestamp;

    use super::*;

    #[test]
    fn a_reach_covers_what_is_named_and_nothing_beside_it() {
        let id = |n| WorkspaceId::new(Timestamp(0), [n; 10]);
        let all = Reach::from(OrganisationId::new(Timestamp(0), [9; 10]));
        assert!(all.covers(id(1)) && all.covers_resource(id(1), None, None));
        let some = Reach {
            workspaces: Some([id(1), id(2)].into()),
            ..all.clone()
        };
        assert!(some.covers(id(2)) && !some.covers(id(3)));
        let one = Reach {
            resource: Some(Arc::new(ResourceKey {
                resource: "course".into(),
                resource_id: "7".into(),
            })),
            ..some
        };
        assert!(one.covers_resource(id(1), Some("course"), Some("7")));
        for (workspace, resource, resource_id) in [
            (3, Some("course"), Some("7")),
            (1, Some("course"), Some("8")),
            (1, Some("site"), Some("7")),
            (1, Some("course"), None),
            (1, None, None),
        ] {
            assert!(
                !one.covers_resource(id(workspace), resource, resource_id),
                "{resource:?} {resource_id:?}"
            );
        }
    }
}
