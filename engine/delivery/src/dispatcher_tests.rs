use std::sync::Mutex;

use super::*;

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
