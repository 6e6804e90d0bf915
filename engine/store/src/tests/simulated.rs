//! The store of a simulation: its faults are the disk's, and what it does is what the other one does.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::*;

/// Does what is next on the list; nothing fails when it is empty.
#[derive(Default)]
struct Listed {
    commits: Mutex<VecDeque<Fate>>,
    reads: Mutex<VecDeque<Fate>>,
}

impl Disk for Listed {
    fn commit(&self) -> Fate {
        self.commits.lock().unwrap().pop_front().unwrap_or_default()
    }

    fn read(&self) -> Fate {
        self.reads.lock().unwrap().pop_front().unwrap_or_default()
    }
}

fn failing(fault: Fault) -> Fate {
    Fate {
        fault: Some(fault),
        ..Fate::default()
    }
}

fn simulated() -> (World, Arc<Listed>) {
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(Listed::default());
    let config = config(directory.path().join("heddle.db"));
    let store = Store::open_simulated(config, Arc::clone(&disk) as Arc<dyn Disk>).unwrap();
    let made = AtomicU64::new(0);
    let world = World {
        directory,
        store,
        made,
    };
    (world, disk)
}

#[tokio::test]
async fn a_simulated_fault_keeps_nothing_acknowledges_nothing_and_is_recovered_from() {
    let (world, disk) = simulated();
    let (tenant, _, rule) = one_rule(&world).await;
    world.store.due().take();
    let faults = [Fault::Commit, Fault::Statement(0), Fault::Statement(150)];
    for fault in faults {
        disk.commits.lock().unwrap().push_back(failing(fault));
        let acceptance = world.acceptance(world.event(tenant.workspace, NOW), [&rule]);
        let refused = world.store.accept_events(vec![acceptance.clone()]).await;
        assert!(
            matches!(refused, Err(StoreError::Unavailable { .. })),
            "{fault:?}: {refused:?}"
        );
        assert_eq!(world.store.lanes().await, Ok(vec![]), "{fault:?}");
        assert!(world.store.due().take().is_empty(), "{fault:?}");
        world.store.accept_events(vec![acceptance]).await.unwrap();
        let claim = world.claim(rule.connection, 9, later(100)).await;
        assert_eq!(claim.claimed.len(), 1);
        world.store.due().take();
    }
    disk.reads.lock().unwrap().push_back(failing(Fault::Commit));
    let refused = world.store.lanes().await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable { .. })),
        "{refused:?}"
    );
    assert_eq!(world.store.lanes().await, Ok(vec![]));
}

#[tokio::test]
async fn a_simulated_store_closes_as_the_other_one_does() {
    let (world, _) = simulated();
    let rule = one_rule(&world).await.2;
    world.accept(NOW, [&rule]).await;
    world.store.close().await;
    let late = world.store.ready().await;
    assert!(matches!(late, Err(StoreError::Unavailable { .. })), "{late:?}");
    let log = world.directory.path().join("heddle.db-wal");
    assert!(!log.exists(), "the log is in the database");
}
