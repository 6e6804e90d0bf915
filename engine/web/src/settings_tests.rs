use heddle_core::connection::Health;
use heddle_core::id::{ConnectionId, WorkspaceId};
use heddle_core::time::Timestamp;
use serde_json::json;

use super::*;

fn manifest() -> Manifest {
    Manifest::parse(
        &json!({
            "name": "acme", "title": "Acme",
            "authentication": {"type": "api_key", "fields": [
                {"key": "username", "label": "User", "type": "text", "required": true,
                 "dependsOn": {"field": "scheme", "value": "basic"}},
                {"key": "url", "label": "URL", "type": "text", "required": true, "format": "https_url"},
                {"key": "scheme", "label": "Scheme", "type": "select", "defaultValue": "none", "options": [
                    {"label": "None", "value": "none"}, {"label": "Basic", "value": "basic"},
                    {"label": "Bearer", "value": "bearer"}, {"label": "Custom Auth Header", "value": "custom_header"}]},
                {"key": "password", "label": "Password", "type": "password", "required": true,
                 "dependsOn": {"field": "scheme", "value": ["basic", "bearer"]}},
                {"key": "region", "label": "Region", "type": "text", "pattern": "[a-z]{2}[0-9]?"},
                {"key": "fast", "label": "Fast", "type": "text", "format": "boolean"},
                {"key": "headers", "label": "Headers", "type": "text", "format": "headers"},
                {"key": "secret", "label": "Secret", "type": "password", "format": "standard_webhooks_secret",
                 "generate": true}]},
            "hosts": ["{url.host}", "{region}.acme.example"],
            "credentials": [{"name": "password", "field": "password", "apply": "bearer"},
                            {"name": "sign", "field": "secret", "apply": "standard_webhooks"}],
            "actions": {"send": {"key": "send", "label": "Send"}}
        })
        .to_string(),
    )
    .unwrap()
}

fn judge(metadata: Value, stored: Option<&Connection>) -> Result<Parted, Vec<Problem>> {
    let surroundings = Surroundings {
        check_url: &|url| {
            if url.contains("127.0.0.1") {
                Err("must be public".into())
            } else {
                Ok(())
            }
        },
        random: &|| [7; 32],
    };
    check(&manifest(), metadata.as_object().unwrap(), stored, &surroundings)
}

fn saved(parted: Parted) -> Connection {
    Connection {
        id: ConnectionId::new(Timestamp(0), [0; 10]),
        workspace: WorkspaceId::new(Timestamp(0), [0; 10]),
        kind: "acme".into(),
        name: "n".into(),
        settings: parted.settings,
        secrets: parted.secrets,
        health: Health::Active,
        check: None,
        hidden: false,
        created_by: "test".into(),
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
    }
}

#[test]
fn settings_are_read_into_their_plain_form_and_defaults_are_filled_in() {
    let parted = judge(
        json!({"url": "https://a.example", "scheme": "Custom Auth Header", "fast": "True", "region": "eu1",
               "headers": [{"name": "X-A", "value": "1"}], "retry_schedule": "0s, 5s", "concurrency": 3}),
        None,
    )
    .unwrap();
    let expected = json!({"url": "https://a.example", "scheme": "custom_header", "region": "eu1", "fast": true,
                          "headers": {"X-A": "1"}, "retry_schedule": "0s,5s", "concurrency": 3});
    assert_eq!(Value::Object(parted.settings), expected);
    let plain = judge(json!({"url": "https://a.example"}), None).unwrap();
    assert_eq!(plain.settings["scheme"], "none");
}

#[test]
fn what_cannot_work_is_refused_at_its_key_and_never_repeated() {
    let url = "https://a.example";
    let six: Map<String, Value> = (0..6).map(|i| (format!("X-{i}"), "v".into())).collect();
    let cases = [
        (json!({}), "metadata.url"),
        (json!({"url": null}), "metadata.url"),
        (json!({"url": "  "}), "metadata.url"),
        (json!({"url": 5}), "metadata.url"),
        (json!({"url": "http://a.example"}), "metadata.url"),
        (json!({"url": "https://127.0.0.1"}), "metadata.url"),
        (json!({"url": "https://a.example\r\nx"}), "metadata.url"),
        (
            json!({"url": format!("https://a.example/{}", "x".repeat(5000))}),
            "metadata.url",
        ),
        (json!({"url": url, "scheme": "digest"}), "metadata.scheme"),
        (
            json!({"url": url, "scheme": "basic", "password": "hunter22"}),
            "metadata.username",
        ),
        (
            json!({"url": url, "scheme": "BASIC", "username": "u"}),
            "metadata.password",
        ),
        (
            json!({"url": url, "scheme": "bearer", "password": "hunter22 "}),
            "metadata.password",
        ),
        (
            json!({"url": url, "scheme": "bearer", "password": {"hunter22": 1}}),
            "metadata.password",
        ),
        (json!({"url": url, "region": "europe"}), "metadata.region"),
        (json!({"url": url, "fast": "perhaps"}), "metadata.fast"),
        (json!({"url": url, "headers": "X-A: 1"}), "metadata.headers"),
        (json!({"url": url, "headers": six}), "metadata.headers"),
        (
            json!({"url": url, "headers": {"Content-Type": "a"}}),
            "metadata.headers",
        ),
        (json!({"url": url, "headers": {"HOST": "a"}}), "metadata.headers"),
        (
            json!({"url": url, "headers": {"webhook-id": "a"}}),
            "metadata.headers",
        ),
        (
            json!({"url": url, "headers": {"X-Meshes-Event": "a"}}),
            "metadata.headers",
        ),
        (
            json!({"url": url, "headers": {"X-A": "a\r\nX-B: b"}}),
            "metadata.headers",
        ),
        (json!({"url": url, "headers": {"X A": "a"}}), "metadata.headers"),
        (
            json!({"url": url, "headers": {"X-A": "a", "x-a": "b"}}),
            "metadata.headers",
        ),
        (
            json!({"url": url, "scheme": "bearer", "password": "hunter22", "headers": {"authorization": "x"}}),
            "metadata.headers",
        ),
        (json!({"url": url, "secret": "whsec_c2hvcnQ="}), "metadata.secret"),
        (
            json!({"url": url, "headers": {"X-Other": "é"}}),
            "metadata.headers",
        ),
        (json!({"url": url, "secret": "hunter22"}), "metadata.secret"),
        (
            json!({"url": url, "retry_schedule": "soon"}),
            "metadata.retry_schedule",
        ),
        (json!({"url": url, "concurrency": 0}), "metadata.concurrency"),
        (json!({"url": url, "concurrency": 1001}), "metadata.concurrency"),
        (json!({"url": url, "color": "red"}), "metadata.color"),
    ];
    for (metadata, param) in cases {
        let problems = judge(metadata.clone(), None).expect_err(&metadata.to_string());
        assert_eq!(problems.len(), 1, "{metadata}: {problems:?}");
        assert_eq!(problems[0].param, param, "{metadata}: {problems:?}");
        assert!(!problems[0].msg.contains("hunter22"), "{problems:?}");
    }
}

#[test]
fn a_secret_is_made_once_kept_through_its_mask_and_removed_by_null() {
    let url = "https://a.example";
    let made = judge(
        json!({"url": url, "scheme": "bearer", "password": "first-password"}),
        None,
    )
    .unwrap();
    assert_eq!(made.made, ["secret"]);
    assert_eq!(
        made.secrets["secret"].reveal(),
        format!("whsec_{}", STANDARD.encode([7; 32]))
    );
    let stored = saved(made);

    for metadata in [
        json!({"url": url, "scheme": "bearer"}),
        json!({"url": url, "scheme": "bearer", "password": MASK, "secret": MASK}),
    ] {
        let kept = judge(metadata, Some(&stored)).unwrap();
        assert_eq!((kept.made.len(), &kept.secrets), (0, &stored.secrets));
    }
    let changed = judge(
        json!({"url": url, "scheme": "bearer", "password": "second-password"}),
        Some(&stored),
    )
    .unwrap();
    assert_eq!(changed.secrets["password"].reveal(), "second-password");

    let without = judge(
        json!({"url": url, "scheme": "none", "password": null, "secret": null}),
        Some(&stored),
    )
    .unwrap();
    assert!(!without.secrets.contains_key("password"));
    assert_eq!(
        without.made,
        ["secret"],
        "null rotates a secret that Heddle makes"
    );
    let problems = judge(
        json!({"url": url, "scheme": "bearer", "password": null}),
        Some(&stored),
    )
    .unwrap_err();
    assert_eq!(problems[0].param, "metadata.password");
}

#[test]
fn the_mask_is_no_secret_where_none_is_stored() {
    let problems = judge(
        json!({"url": "https://a.example", "scheme": "bearer", "password": MASK}),
        None,
    )
    .unwrap_err();
    assert_eq!(problems[0].param, "metadata.password");
}

fn webhook(metadata: Value) -> Result<Parted, Vec<Problem>> {
    let manifest = Manifest::parse(include_str!("../../../adapters/webhook/manifest.json")).unwrap();
    let surroundings = Surroundings {
        check_url: &|_| Ok(()),
        random: &|| [7; 32],
    };
    check(&manifest, metadata.as_object().unwrap(), None, &surroundings)
}

#[test]
fn a_webhook_is_configured_in_the_words_of_the_contract() {
    let plain = webhook(json!({"url": "https://a.example/hook"})).unwrap();
    assert_eq!(
        (&plain.settings["http_method"], &plain.settings["payload_mode"]),
        (&json!("POST"), &json!("wrapped"))
    );
    assert_eq!(
        (&plain.settings["auth_scheme"], &plain.settings["skip_url_test"]),
        (&json!("none"), &json!(false))
    );
    assert_eq!(plain.made, ["signing_secret"]);

    let full = webhook(json!({
        "url": "https://a.example/hook", "http_method": "put", "payload_mode": "Raw",
        "auth_scheme": "Custom Auth Header", "auth_header_name": "X-Token", "auth_header_value": "t0ken-value",
        "custom_headers": [{"name": "X-Env", "value": "live"}], "accept_redirect_status": "Yes",
        "signing_scheme": "HMAC-SHA256", "signing_secret": "any text at all"}))
    .unwrap();
    assert_eq!(
        (&full.settings["auth_scheme"], &full.settings["http_method"]),
        (&json!("header"), &json!("PUT"))
    );
    assert_eq!(full.settings["signing_header"], json!("X-Meshes-Signature"));
    assert_eq!(
        (full.settings["accept_redirect_status"].clone(), full.made.len()),
        (json!(true), 0)
    );
    assert_eq!(full.secrets["custom_headers"].reveal(), r#"{"X-Env":"live"}"#);
    assert_eq!(full.secrets["signing_secret"].reveal(), "any text at all");
}

#[test]
fn a_webhooks_headers_do_not_get_in_each_others_way() {
    let with = |extra: Value| {
        let mut metadata = json!({"url": "https://a.example/hook"});
        metadata
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        webhook(metadata)
    };
    let own = |name: &str| json!({"auth_scheme": "header", "auth_header_name": name, "auth_header_value": "t0ken-value"});
    let mut twice = own("X-Token");
    twice["custom_headers"] = json!({"x-token": "other"});
    let signature = json!({"signing_scheme": "hmac_sha512", "signing_secret": "any text", "signing_header": "X-Sig",
                           "custom_headers": {"X-SIG": "forged"}});
    let bearer = json!({"auth_scheme": "bearer", "bearer_token": "t0ken-value", "custom_headers": {"Authorization": "x"}});
    for (metadata, param) in [
        (own("Content-Type"), "metadata.auth_header_name"),
        (own("webhook-signature"), "metadata.auth_header_name"),
        (own("X-Meshes-Event"), "metadata.auth_header_name"),
        (twice, "metadata.custom_headers"),
        (signature, "metadata.custom_headers"),
        (bearer, "metadata.custom_headers"),
        (
            json!({"signing_scheme": "hmac_sha256"}),
            "metadata.signing_secret",
        ),
        (json!({"signing_secret": "no whsec"}), "metadata.signing_secret"),
    ] {
        let problems = with(metadata.clone()).expect_err(&metadata.to_string());
        assert_eq!(
            (problems.len(), problems[0].param.as_str()),
            (1, param),
            "{problems:?}"
        );
        assert!(!problems[0].msg.contains("t0ken"), "{problems:?}");
    }
    assert!(with(json!({"custom_headers": {"Authorization": "Token x"}})).is_ok());
}

#[test]
fn a_secret_that_is_sent_does_not_follow_the_url_to_another_host() {
    let before = saved(
        judge(
            json!({"url": "https://a.example/hook", "scheme": "bearer", "password": "hunter2"}),
            None,
        )
        .unwrap(),
    );
    let signing = before.secrets.get("secret").cloned();
    let changed = |url: &str, more: Value| {
        let mut metadata = json!({"url": url, "scheme": "bearer"});
        metadata
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        judge(metadata, Some(&before))
    };
    for (url, more) in [
        ("https://evil.example/hook", json!({})),
        ("https://evil.example/hook", json!({"password": MASK})),
        ("https://a.example:8443/hook", json!({})),
        ("https://a.example.evil.example/hook", json!({"password": MASK})),
    ] {
        let problems = changed(url, more).unwrap_err();
        assert_eq!(problems[0].param, "metadata.password", "{url}");
        assert!(problems[0].msg.contains("sent again"), "{problems:?}");
    }
    for (url, more, kept) in [
        ("https://a.example/other", json!({}), true),
        ("https://A.example:443/hook", json!({"password": MASK}), true),
        ("https://b.example", json!({"password": "another1"}), true),
        ("https://b.example", json!({"scheme": "none"}), false),
        (
            "https://b.example",
            json!({"scheme": "none", "password": null}),
            false,
        ),
    ] {
        let parted = changed(url, more.clone()).unwrap();
        assert_eq!(parted.secrets.contains_key("password"), kept, "{url} {more}");
        // What is never sent may stay.
        assert_eq!(parted.secrets.get("secret").cloned(), signing, "{url} {more}");
    }
}

#[test]
fn a_host_that_is_written_unusually_is_another_host_all_the_same() {
    let saved_with = |settings: Value| saved(judge(settings, None).unwrap());
    let secret = json!({"scheme": "bearer", "password": "hunter2"});
    let with = |more: Value| {
        let mut all = secret.clone();
        all.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        all
    };
    let moved = [
        (
            "https://hooks.münchen.example/x",
            "https://evil.münchen.example/x",
        ),
        ("https://a.example/|{ü}", "https://evil.example/|{ü}"),
        ("https://a.example./hook", "https://evil.example./hook"),
    ];
    for (before, after) in moved {
        let before = saved_with(with(json!({ "url": before })));
        let problems = judge(json!({"url": after, "scheme": "bearer"}), Some(&before)).unwrap_err();
        assert_eq!(problems[0].param, "metadata.password", "{after}");
    }
    let before = saved_with(with(
        json!({"url": "https://hooks.münchen.example/x", "region": "eu1"}),
    ));
    let same = json!({"url": "https://HOOKS.xn--mnchen-3ya.example/y", "scheme": "bearer", "region": "eu1"});
    assert!(
        judge(same, Some(&before))
            .unwrap()
            .secrets
            .contains_key("password")
    );
    let other = json!({"url": "https://hooks.münchen.example/x", "scheme": "bearer", "region": "us1"});
    let problems = judge(other, Some(&before)).unwrap_err();
    assert!(
        problems[0].msg.contains("region leads to another host"),
        "{problems:?}"
    );
}
