use std::collections::BTreeMap;
use std::pin::pin;
use std::task::Poll;

use futures::poll;
use heddle_core::connection::Health;
use heddle_core::id::WorkspaceId;
use heddle_core::secret::Secret;
use heddle_core::time::Timestamp;
use serde_json::json;

use super::*;

fn manifest(limits: Value) -> Arc<Manifest> {
    let text = json!({
        "name": "acme", "title": "Acme", "authentication": {"type": "none"}, "hosts": [],
        "actions": {"send": {"key": "send", "label": "Send"}}, "limits": limits
    });
    Arc::new(Manifest::parse(&text.to_string()).unwrap())
}

fn connection(n: u8, settings: Value, token: &str) -> Arc<Connection> {
    Arc::new(Connection {
        id: ConnectionId::from_bytes([n; 16]),
        workspace: WorkspaceId::from_bytes([n; 16]),
        kind: "acme".into(),
        name: format!("Acme {n}"),
        settings: settings.as_object().unwrap().clone(),
        secrets: BTreeMap::from([("token".to_owned(), Secret::new(token))]),
        health: Health::Active,
        hidden: false,
        created_by: String::new(),
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        check: None,
    })
}

/// A pacer and an account that bears one request at a time.
fn one_at_a_time() -> (Pacer, Arc<Account>) {
    let pacer = Pacer::start();
    let limits = json!({"concurrency": 1, "rates": [{"requests": 1000, "per_seconds": 1}]});
    let account = pacer.account(&connection(1, json!({}), "secret"), &manifest(limits));
    (pacer, account)
}

fn delivery(pacer: &Pacer, account: &Arc<Account>) -> Pace {
    let claim = pacer.claim(account);
    pacer.for_delivery(account, Some(claim), &Map::new(), "{}", "{}")
}

#[tokio::test]
async fn a_connection_with_a_limit_of_its_own_keeps_to_it_when_turns_come() {
    let pacer = Pacer::start();
    let limits = json!({"concurrency": 4, "rates": [{"requests": 1000, "per_seconds": 1}]});
    let connection = connection(1, json!({"concurrency": 1}), "secret");
    let account = pacer.account(&connection, &manifest(limits));
    let (first, second) = (delivery(&pacer, &account), delivery(&pacer, &account));
    let held = first.take().await.unwrap();
    let mut waits = pin!(second.take());
    assert!(
        poll!(waits.as_mut()).is_pending(),
        "the other three are not its own"
    );
    drop(held);
    assert!(waits.await.is_ok());
}

#[tokio::test]
async fn without_a_secret_nobody_is_on_the_account_of_another_workspace() {
    let (pacer, manifest) = (Pacer::start(), manifest(json!({"concurrency": 1})));
    let open = |id: u8, workspace: u8| {
        let connection = Connection {
            workspace: WorkspaceId::from_bytes([workspace; 16]),
            secrets: BTreeMap::new(),
            ..(*connection(id, json!({"url": "https://known.example"}), "")).clone()
        };
        pacer.account(&Arc::new(connection), &manifest).key()
    };
    assert_eq!(open(1, 1), open(2, 1));
    assert_ne!(open(1, 1), open(3, 2));
}

#[tokio::test]
async fn connections_with_the_same_secrets_and_settings_are_one_account() {
    let (pacer, manifest) = (Pacer::start(), manifest(json!({})));
    let key = |connection: &Arc<Connection>| pacer.account(connection, &manifest).key();
    let base = key(&connection(1, json!({"region": "eu", "list": 1}), "secret"));
    // Heddle's own settings, the order and what is not set make no other account.
    let same = json!({"list": 1, "concurrency": 3, "region": "eu", "retry_schedule": "0s", "note": null});
    assert_eq!(base, key(&connection(2, same, "secret")));
    for other in [
        connection(3, json!({"region": "us", "list": 1}), "secret"),
        connection(4, json!({"region": "eu", "list": "1"}), "secret"),
        connection(5, json!({"region": "eu"}), "secret"),
        connection(6, json!({"region": "eu", "list": 1}), "another"),
    ] {
        assert_ne!(base, key(&other), "{}", other.name);
    }
}

#[tokio::test]
async fn a_connection_that_changed_is_looked_at_again() {
    let (pacer, manifest) = (Pacer::start(), manifest(json!({"concurrency": 8})));
    let before = connection(1, json!({}), "secret");
    let account = pacer.account(&before, &manifest);
    assert!(Arc::ptr_eq(&account, &pacer.account(&before, &manifest)));
    let after = pacer.account(&connection(1, json!({"concurrency": 3}), "new"), &manifest);
    assert_ne!(account.key(), after.key());
    assert_eq!((account.concurrency, after.concurrency), ((8, 8), (3, 8)));
}

#[tokio::test]
async fn who_gives_up_waiting_leaves_the_line_to_the_next() {
    let (pacer, account) = one_at_a_time();
    let (first, second, third) = (
        delivery(&pacer, &account),
        delivery(&pacer, &account),
        delivery(&pacer, &account),
    );
    let turn = first.take().await.ok().unwrap();
    let mut next = pin!(third.take());
    {
        let gives_up = pin!(second.take());
        assert!(poll!(gives_up).is_pending());
        assert!(poll!(next.as_mut()).is_pending());
    }
    drop(turn);
    assert!(matches!(poll!(next), Poll::Ready(Ok(_))));
}

#[tokio::test]
async fn a_turn_that_was_given_to_somebody_who_is_gone_goes_to_the_next() {
    let (pacer, account) = one_at_a_time();
    let (first, second, third) = (
        delivery(&pacer, &account),
        delivery(&pacer, &account),
        delivery(&pacer, &account),
    );
    let turn = first.take().await.ok().unwrap();
    let mut next = pin!(third.take());
    {
        let mut gone = Box::pin(second.take());
        assert!(poll!(gone.as_mut()).is_pending());
        assert!(poll!(next.as_mut()).is_pending());
        // Given to the second, who never looks.
        drop(turn);
        assert!(poll!(next.as_mut()).is_pending());
    }
    assert!(matches!(poll!(next), Poll::Ready(Ok(_))));
}

#[tokio::test]
async fn a_person_who_looks_something_up_goes_before_deliveries_that_have_not_begun() {
    let (pacer, account) = one_at_a_time();
    let (first, second) = (delivery(&pacer, &account), delivery(&pacer, &account));
    let person = pacer.for_call(&connection(2, json!({}), "secret"), &account.manifest);
    let turn = first.take().await.ok().unwrap();
    let (mut waits, mut looks) = (pin!(second.take()), pin!(person.take()));
    assert!(poll!(waits.as_mut()).is_pending());
    assert!(poll!(looks.as_mut()).is_pending());
    drop(turn);
    assert!(poll!(waits).is_pending());
    assert!(matches!(poll!(looks), Poll::Ready(Ok(_))));
}

#[tokio::test]
async fn what_was_claimed_takes_its_room_until_it_ends() {
    let pacer = Pacer::start();
    let limits = json!({"concurrency": 5, "rates": [{"requests": 3, "per_seconds": 60}]});
    let account = pacer.account(&connection(1, json!({}), "secret"), &manifest(limits));
    let room = |in_flight| pacer.room(&account, in_flight).deliveries;
    assert_eq!(room(0), 3);
    let claims = [pacer.claim(&account), pacer.claim(&account)];
    assert_eq!(room(2), 1);
    // Ended without a request: no place of the window is used.
    drop(claims);
    assert_eq!(room(0), 3);
    let sent = delivery(&pacer, &account);
    drop(sent.take().await.ok().unwrap());
    drop(sent);
    assert_eq!(room(0), 2);
}

#[tokio::test]
async fn nobody_waits_where_no_rate_is_stated() {
    let pacer = Pacer::start();
    let account = pacer.account(
        &connection(1, json!({}), "secret"),
        &manifest(json!({"concurrency": 1})),
    );
    let pace = delivery(&pacer, &account);
    let turns: Vec<_> = (0..10).map(|_| pace.take()).collect();
    assert!(futures::future::join_all(turns).await.iter().all(Result::is_ok));
    assert_eq!(pace.patience(), Duration::ZERO);
    assert_eq!(pacer.room(&account, 0).deliveries, 0, "one is under way");
}
