use std::sync::Mutex;

use heddle_core::delivery::Status;
use heddle_core::id::RuleId;
use heddle_core::rule::Rule;
use heddle_store::{EventFilter, Page};

use super::*;
use crate::simulation::quiet;

fn request(n: u8) -> ClaimRequest {
    ClaimRequest {
        connection: ConnectionId::from_bytes([n; 16]),
        limit: 1,
        forced_only: false,
    }
}

/// A store in which claims of the lane `bad` fail with `error`, and what it was asked.
async fn claims(bad: u8, error: StoreError) -> (Vec<Result<u8, Postponed>>, Vec<usize>) {
    let asked = Mutex::new(Vec::new());
    let claim = async |requests: Vec<ClaimRequest>| {
        asked.lock().unwrap().push(requests.len());
        if requests
            .iter()
            .any(|request| request.connection == self::request(bad).connection)
        {
            return Err(error.clone());
        }
        let claim = |request: ClaimRequest| LaneClaim {
            connection: request.connection,
            claimed: Vec::new(),
            next_due: None,
        };
        Ok(requests.into_iter().map(claim).collect())
    };
    let claimed = lane_by_lane((1..=4).map(request).collect(), claim).await;
    let lanes = claimed
        .into_iter()
        .map(|claim| claim.map(|claim| claim.connection.as_bytes()[0]))
        .collect();
    (lanes, asked.into_inner().unwrap())
}

fn broken() -> StoreError {
    StoreError::Broken {
        reason: "a row that cannot be read".into(),
    }
}

#[tokio::test]
async fn one_claim_serves_all_lanes_where_nothing_is_wrong() {
    let (lanes, asked) = claims(9, broken()).await;
    assert_eq!(lanes, [Ok(1), Ok(2), Ok(3), Ok(4)]);
    assert_eq!(asked, [4]);
}

#[tokio::test]
async fn a_lane_that_cannot_be_claimed_holds_up_no_other() {
    let (lanes, asked) = claims(2, broken()).await;
    assert_eq!(lanes, [Ok(1), Err(Postponed(LONGEST_SLEEP)), Ok(3), Ok(4)]);
    assert_eq!(asked, [4, 1, 1, 1, 1]);
}

#[tokio::test]
async fn a_store_that_is_unavailable_is_not_asked_again_for_each_lane() {
    let unavailable = StoreError::Unavailable {
        reason: "the disk is full".into(),
    };
    let (lanes, asked) = claims(2, unavailable).await;
    assert!(
        lanes.iter().all(|lane| *lane == Err(Postponed(PAUSE))),
        "{lanes:?}"
    );
    assert_eq!(asked, [4]);
}

#[tokio::test(start_paused = true)]
async fn lanes_of_one_account_with_one_delivery_each_are_claimed_together() {
    const LANES: u8 = 9;
    let (world, store) = quiet::world(1).await;
    let workspace = world.tenants.workspaces[0].id;
    let plain = |n: u8| Connection {
        id: ConnectionId::new(world.now(), [n; 10]),
        workspace,
        kind: "plain".into(),
        // All the same: one account, which may have three under way.
        settings: serde_json::Map::from_iter([("n".to_owned(), 77.into())]),
        name: format!("lane {n}"),
        ..world.tenants.connections[0].clone()
    };
    let mut rules = Vec::new();
    for n in 0..LANES {
        let connection = plain(n);
        store
            .create_connection(connection.clone())
            .await
            .expect("it is made");
        let rule = Rule {
            id: RuleId::new(world.now(), [n; 10]),
            workspace,
            connection: connection.id,
            kind: connection.kind,
            order: None,
            ..world.tenants.rules[0].clone()
        };
        store.create_rule(rule.clone()).await.expect("it is made");
        quiet::accept(&world, &store, workspace, Some(&rule), 1).await;
        rules.push(rule.id);
    }
    let _engine = world.engine(&store).await.expect("it starts");
    quiet::goes_by(Duration::from_secs(60)).await;
    let page = Page {
        limit: 100,
        cursor: None,
    };
    let events = store.list_events(world.tenants.organisation, EventFilter::default(), page);
    let mut claims: HashMap<Timestamp, usize> = HashMap::new();
    for event in events.await.expect("they are read").records {
        for delivery in store.deliveries_of(event.id).await.expect("they are read") {
            assert!(rules.contains(&delivery.rule) && delivery.state.status == Status::Completed);
            *claims
                .entry(delivery.started_at.expect("it was tried"))
                .or_default() += 1;
        }
    }
    assert_eq!(claims.values().sum::<usize>(), usize::from(LANES));
    assert!(claims.values().all(|together| *together <= 3), "{claims:?}");
    // The first asks for all that there is room for; those behind it share what it has left.
    assert!(
        claims.values().any(|together| *together > 1),
        "each by itself: {claims:?}"
    );
}
