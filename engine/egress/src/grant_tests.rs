use heddle_core::exchange::Request;
use serde_json::json;

use super::*;
use heddle_core::time::Timestamp;

/// A manifest with these hosts and credentials, and every setting that the tests use.
fn manifest(hosts: Value, credentials: Value) -> Manifest {
    let text = |key: &str| json!({"key": key, "label": key, "type": "text"});
    let password = |key: &str| json!({"key": key, "label": key, "type": "password"});
    let manifest = json!({
        "name": "acme", "title": "Acme", "hosts": hosts, "credentials": credentials,
        "authentication": {"type": "api_key", "fields": [
            text("url"), text("region"), text("scheme"), text("user"), text("header"), text("prefix"),
            {"key": "algorithm", "label": "Algorithm", "type": "select", "defaultValue": "HMAC_SHA256"},
            password("key"), password("old_key"), password("secret_url")]},
        "actions": {"send": {"key": "send", "label": "Send"}}
    });
    Manifest::parse(&manifest.to_string()).unwrap()
}

fn grant(hosts: Value, credentials: Value, settings: Value, secrets: Value) -> Result<Grant, GrantError> {
    let Value::Object(settings) = settings else {
        panic!("settings are an object")
    };
    let secrets = secrets.as_object().unwrap().iter();
    let secrets = secrets
        .map(|(key, value)| (key.clone(), Secret::new(value.as_str().unwrap())))
        .collect();
    Grant::new(&manifest(hosts, credentials), &settings, &secrets)
}

fn allows(grant: &Grant, url: &str) -> bool {
    grant.allows(&Url::parse(url).unwrap())
}

/// The URL and headers of a request after the credentials were applied.
fn applied(grant: &Grant, url: &str) -> Result<(String, HeaderMap), SendError> {
    applied_to(grant, url, &[], b"body")
}

fn applied_to(
    grant: &Grant,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<(String, HeaderMap), SendError> {
    applied_into(grant, url, headers, &mut body.to_vec())
}

/// The same; `body` becomes what is sent.
fn applied_into(
    grant: &Grant,
    url: &str,
    headers: &[(&str, &str)],
    body: &mut Vec<u8>,
) -> Result<(String, HeaderMap), SendError> {
    let request = Request {
        method: "POST".into(),
        url: url.into(),
        headers: headers
            .iter()
            .map(|(name, value)| heddle_core::exchange::Header {
                name: (*name).into(),
                value: (*value).into(),
            })
            .collect(),
        body: body.clone(),
    };
    let context = SendContext {
        delivery_id: "d-1".into(),
        now: Timestamp(1_614_265_330_000),
        answers: crate::Held::default(),
    };
    let mut draft = crate::request::read(&request, grant, 1024)?;
    grant.apply(&mut draft.url, &mut draft.headers, body, &context)?;
    Ok((draft.url.to_string(), draft.headers))
}

#[test]
fn a_host_is_exact_or_filled_in_from_a_setting() {
    let grant = grant(
        json!([
            "api.acme.com",
            "{region}.acme.com:8443",
            "{url.host}",
            "{secret_url.host}"
        ]),
        json!([]),
        json!({"region": "EU-1", "url": "https://Hooks.Customer.test:444/in?x"}),
        json!({"secret_url": "https://quiet.test/abc"}),
    )
    .unwrap();
    for url in [
        "https://api.acme.com/",
        "https://eu-1.acme.com:8443/",
        "https://hooks.customer.test:444/other",
        "https://quiet.test/",
    ] {
        assert!(allows(&grant, url), "{url}");
    }
    for url in [
        "https://eu-1.acme.com/",
        "https://us.acme.com:8443/",
        "https://hooks.customer.test/",
        "https://acme.com/",
    ] {
        assert!(!allows(&grant, url), "{url}");
    }
}

#[test]
fn a_setting_that_is_more_than_a_label_opens_no_other_host() {
    for region in [
        "evil.test/",
        "evil.test#",
        "a.b",
        "a@b",
        "a:1",
        "",
        "ä",
        &"a".repeat(64),
        "x?",
        "%61",
        "a\\b",
        "{url}",
    ] {
        let result = grant(
            json!(["{region}.acme.com"]),
            json!([]),
            json!({"region": region}),
            json!({}),
        );
        match result {
            Ok(grant) => assert!(region.is_empty() && grant.hosts.is_empty(), "{region:?}"),
            Err(error) => assert!(error.to_string().contains("region"), "{error}"),
        }
    }
}

#[test]
fn a_host_whose_setting_is_absent_is_left_out_and_one_that_is_no_url_is_an_error() {
    let hosts = json!(["{region}.acme.com", "{url.host}", "api.acme.com"]);
    let absent = grant(hosts.clone(), json!([]), json!({"region": null}), json!({})).unwrap();
    assert_eq!(absent.hosts.len(), 1);
    for url in ["no url", "ftp://a.test/", "https://u:p@a.test/", "a.test"] {
        let error = grant(hosts.clone(), json!([]), json!({"url": url}), json!({}))
            .unwrap_err()
            .to_string();
        assert!(error.contains("url") && !error.contains("u:p"), "{error}");
    }
}

#[test]
fn each_way_of_header_writes_its_header() {
    let cases = [
        (json!({"apply": "bearer"}), "authorization", "Bearer s3cret"),
        (
            json!({"apply": "basic", "username": "{user}"}),
            "authorization",
            "Basic bmluYTpzM2NyZXQ=",
        ),
        (
            json!({"apply": "basic_user"}),
            "authorization",
            "Basic czNjcmV0Og==",
        ),
        (
            json!({"apply": "header", "header": "{header}", "prefix": "Key "}),
            "x-key",
            "Key s3cret",
        ),
        (
            json!({"apply": "header", "header": "X-Plain", "prefix": "{prefix}"}),
            "x-plain",
            "s3cret",
        ),
    ];
    for (mut credential, name, value) in cases {
        credential["name"] = json!("main");
        credential["field"] = json!("key");
        let grant = grant(
            json!(["api.acme.com"]),
            json!([credential]),
            json!({"user": "nina", "header": "X-Key"}),
            json!({"key": "s3cret"}),
        )
        .unwrap();
        let (_, headers) = applied(&grant, "https://api.acme.com/").unwrap();
        assert_eq!(headers[name], value);
        assert!(headers[name].is_sensitive());
    }
}

#[test]
fn a_user_name_with_a_colon_is_refused_whether_it_is_a_setting_or_the_secret() {
    let cases = [
        (
            json!({"apply": "basic", "username": "{user}"}),
            json!({"user": "a:b"}),
            "s3cret",
        ),
        (json!({"apply": "basic_user"}), json!({}), "s3:cret"),
    ];
    for (mut credential, settings, secret) in cases {
        credential["name"] = json!("main");
        credential["field"] = json!("key");
        let error = grant(
            json!(["api.acme.com"]),
            json!([credential]),
            settings,
            json!({ "key": secret }),
        )
        .unwrap_err()
        .to_string();
        assert!(error.contains("colon") && !error.contains(secret), "{error}");
    }
}

#[test]
fn a_credential_waits_for_its_secret_its_condition_and_its_host() {
    let credentials = json!([
        {"name": "a", "field": "key", "apply": "bearer", "when": {"field": "scheme", "value": ["bearer", "token"]}},
        {"name": "b", "field": "old_key", "apply": "header", "header": "X-Old", "hosts": ["{region}.acme.com"]}]);
    let make = |settings, secrets| {
        grant(
            json!(["api.acme.com", "{region}.acme.com"]),
            credentials.clone(),
            settings,
            secrets,
        )
        .unwrap()
    };
    let both = json!({"key": "s3cret", "old_key": "s3cret-old"});
    let names = |grant: &Grant, url: &str| {
        let (_, headers) = applied(grant, url).unwrap();
        headers
            .keys()
            .map(|name| name.as_str().to_owned())
            .collect::<Vec<_>>()
    };
    let grant = make(json!({"scheme": "token", "region": "eu"}), both.clone());
    assert_eq!(names(&grant, "https://api.acme.com/"), ["authorization"]);
    assert_eq!(names(&grant, "https://eu.acme.com/"), ["authorization", "x-old"]);
    let grant = make(json!({"scheme": "none", "region": "eu"}), both);
    assert!(names(&grant, "https://api.acme.com/").is_empty());
    let grant = make(json!({"scheme": "token"}), json!({"key": ""}));
    assert!(names(&grant, "https://api.acme.com/").is_empty());
}

#[test]
fn a_secret_in_the_query_or_the_path_stays_where_it_was_put() {
    let secret = json!({"key": "a/../b?c=d&e#f %ü"});
    let one = |apply: Value| {
        let mut credential = apply;
        credential["name"] = json!("token");
        credential["field"] = json!("key");
        grant(
            json!(["api.acme.com"]),
            json!([credential]),
            json!({}),
            secret.clone(),
        )
        .unwrap()
    };
    let query = one(json!({"apply": "query", "parameter": "api key"}));
    let (url, _) = applied(&query, "https://api.acme.com/x?a=1").unwrap();
    assert_eq!(
        url,
        "https://api.acme.com/x?a=1&api+key=a%2F..%2Fb%3Fc%3Dd%26e%23f+%25%C3%BC"
    );
    assert!(applied(&query, "https://api.acme.com/x?api%20key=mine").is_err());

    let path = one(json!({"apply": "path"}));
    let (url, _) = applied(&path, "https://api.acme.com/bot{token}/send?q={token}").unwrap();
    assert_eq!(
        url,
        "https://api.acme.com/bota%2F..%2Fb%3Fc=d&e%23f%20%25%C3%BC/send?q={token}"
    );
    // Only a path has a place for it: nothing is filled in into the host.
    assert!(applied(&path, "https://{token}.acme.com/").is_err());
}

#[test]
fn a_secret_in_a_form_is_one_more_parameter_and_is_signed() {
    let sign = |key: &str| json!({"name": "sig", "field": key, "apply": "hmac", "algorithm": "sha256", "header": "X-Sig"});
    let form = json!({"name": "main", "field": "key", "apply": "form", "parameter": "key"});
    let make = |credentials| {
        let secrets = json!({"key": "s3 c&r=t", "old_key": "Jefe"});
        grant(json!(["a.test"]), credentials, json!({}), secrets).unwrap()
    };
    let with_form = make(json!([sign("old_key"), form]));
    let kind = [("content-type", "Application/x-www-form-urlencoded; charset=utf-8")];
    for (body, expected) in [
        ("", "key=s3%20c%26r%3Dt"),
        ("event=a+b&k=v", "event=a+b&k=v&key=s3%20c%26r%3Dt"),
    ] {
        let mut sent = body.as_bytes().to_vec();
        let (_, headers) = applied_into(&with_form, "https://a.test/event", &kind, &mut sent).unwrap();
        assert_eq!(String::from_utf8_lossy(&sent), expected);
        // Signed is what is sent, although the manifest names the signature first.
        let alone = applied_to(
            &make(json!([sign("old_key")])),
            "https://a.test/event",
            &kind,
            &sent,
        )
        .unwrap();
        assert_eq!(headers["x-sig"], alone.1["x-sig"]);
    }
    for taken in ["a=1&key=mine", "k%65y=mine", "key"] {
        let error = applied_to(&with_form, "https://a.test/", &kind, taken.as_bytes()).unwrap_err();
        assert!(error.message.contains("form parameter key"), "{taken}: {error}");
    }
    for other in [&[][..], &[("content-type", "application/json")]] {
        let error = applied_to(&with_form, "https://a.test/", other, b"{}").unwrap_err();
        assert!(
            error.message.contains("main") && !error.message.contains("s3"),
            "{error}"
        );
    }
}

#[test]
fn a_secret_url_is_called_by_name_and_only_at_a_declared_host() {
    let credentials = json!([{"name": "hook", "field": "secret_url", "apply": "url"}]);
    let make = |secret: &str| {
        grant(
            json!(["hooks.acme.com"]),
            credentials.clone(),
            json!({}),
            json!({"secret_url": secret}),
        )
        .unwrap()
    };
    let (url, _) = applied(&make("https://hooks.acme.com/T1/B2/xyz?k=1"), "credential:hook").unwrap();
    assert_eq!(url, "https://hooks.acme.com/T1/B2/xyz?k=1");
    for (secret, expected) in [
        ("https://hooks.acme.com/T1", "https://hooks.acme.com/T1?wait=true"),
        (
            "https://hooks.acme.com/T1?k=1",
            "https://hooks.acme.com/T1?k=1&wait=true",
        ),
    ] {
        let (url, _) = applied(&make(secret), "credential:hook?wait=true").unwrap();
        assert_eq!(url, expected);
    }
    for secret in [
        "https://evil.test/T1/B2/xyz",
        "https://u:hunter2@hooks.acme.com/T1",
        "T1/B2/xyz",
        "file:///T1/B2/xyz",
    ] {
        let error = applied(&make(secret), "credential:hook").unwrap_err();
        assert!(
            !error.message.contains("T1") && !error.message.contains("hunter2"),
            "{error}"
        );
    }
    for name in [
        "credential:other",
        "credential:hook/more",
        "credential:hook/more?x=1",
        "credential:hook?a b",
        "credential:hook?a#b",
        "credential:",
        "Credential:hook",
    ] {
        assert!(
            applied(&make("https://hooks.acme.com/T1"), name).is_err(),
            "{name}"
        );
    }
}

#[test]
fn a_secret_url_is_held_to_the_hosts_of_its_credential() {
    let credentials =
        json!([{"name": "hook", "field": "secret_url", "apply": "url", "hosts": ["hooks.acme.com"]}]);
    let make = |secret: &str| {
        let hosts = json!(["api.acme.com", "hooks.acme.com"]);
        grant(
            hosts,
            credentials.clone(),
            json!({}),
            json!({"secret_url": secret}),
        )
        .unwrap()
    };
    assert!(applied(&make("https://hooks.acme.com/T1"), "credential:hook").is_ok());
    let error = applied(&make("https://api.acme.com/T1"), "credential:hook").unwrap_err();
    assert!(
        error.message.contains("api.acme.com") && !error.message.contains("T1"),
        "{error}"
    );
}

#[test]
fn static_headers_are_read_as_an_object_or_a_list() {
    let credentials = json!([{"name": "extra", "field": "key", "apply": "headers"}]);
    let make = |text: &str| {
        grant(
            json!(["a.test"]),
            credentials.clone(),
            json!({}),
            json!({"key": text}),
        )
    };
    for text in [
        r#"{"X-One":"first","x-two":"1"}"#,
        r#"[{"name":"X-One","value":"first"},{"name":"x-two","value":"1"}]"#,
    ] {
        let (_, headers) = applied(&make(text).unwrap(), "https://a.test/").unwrap();
        assert_eq!(headers["x-one"], "first");
        assert_eq!(headers["x-two"], "1");
    }
    assert!(make("{}").is_ok() && make("[]").is_ok());
    for text in [
        "nothing",
        "\"X-One\"",
        r#"{"X-One":1}"#,
        r#"{"X One":"a"}"#,
        r#"{"X-One":"a\r\nX-Two: b"}"#,
        r#"{"Host":"evil.test"}"#,
        r#"{"content-length":"0"}"#,
        r#"{"Content-Type":"text/plain"}"#,
        r#"{"X-One":"a","x-one":"b"}"#,
        r#"[{"value":"a"}]"#,
        r#"["X-One"]"#,
        r#"[["X-One","a"]]"#,
    ] {
        let error = make(text).unwrap_err().to_string();
        assert!(
            error.contains("extra") && !error.contains("evil"),
            "{text}: {error}"
        );
    }
}

#[test]
fn a_plugin_cannot_set_what_a_credential_sets() {
    let grant = grant(
        json!(["a.test"]),
        json!([{"name": "main", "field": "key", "apply": "bearer"},
               {"name": "sig", "field": "old_key", "apply": "standard_webhooks"}]),
        json!({}),
        json!({"key": "s3cret", "old_key": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}),
    )
    .unwrap();
    for name in [
        "Authorization",
        "authorization",
        "Webhook-Id",
        "webhook-signature",
    ] {
        let error = applied_to(&grant, "https://a.test/", &[(name, "mine")], b"").unwrap_err();
        assert!(error.message.contains(&name.to_ascii_lowercase()), "{error}");
    }
}

#[test]
fn signing_reads_its_options_from_the_settings() {
    let hmac = json!([{"name": "sig", "field": "key", "apply": "hmac", "algorithm": "{algorithm}",
                       "header": "{header}", "encoding": "hex", "prefix": "{prefix}"}]);
    let make = |settings| grant(json!(["a.test"]), hmac.clone(), settings, json!({"key": "Jefe"}));
    // RFC 4231, test case 2. The algorithm is the manifest's default.
    let body = b"what do ya want for nothing?";
    let signed = make(json!({"header": "X-Sig", "prefix": "sha256="})).unwrap();
    let (_, headers) = applied_to(&signed, "https://a.test/", &[], body).unwrap();
    assert_eq!(
        headers["x-sig"],
        "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
    let signed = make(json!({"header": "X-Sig", "algorithm": "sha512"})).unwrap();
    let (_, headers) = applied_to(&signed, "https://a.test/", &[], body).unwrap();
    assert!(headers["x-sig"].to_str().unwrap().starts_with("164b7a7bfcf819e2"));

    assert!(make(json!({})).unwrap_err().to_string().contains("header"));
    assert!(make(json!({"header": "X Sig"})).is_err());
    assert!(make(json!({"header": "Host"})).is_err());
    assert!(make(json!({"header": "X-Sig", "algorithm": "md5"})).is_err());
}

#[test]
fn a_secret_too_short_to_be_removed_from_answers_is_refused() {
    let apply = |apply: Value| {
        let mut credential = apply;
        credential["name"] = json!("main");
        credential["field"] = json!("key");
        grant(
            json!(["a.test"]),
            json!([credential]),
            json!({}),
            json!({"key": "abc"}),
        )
        .unwrap_err()
        .to_string()
    };
    for way in [
        json!({"apply": "bearer"}),
        json!({"apply": "path"}),
        json!({"apply": "standard_webhooks"}),
    ] {
        let error = apply(way);
        assert!(
            error.contains("shorter than 4") && !error.contains("abc"),
            "{error}"
        );
    }
}

#[test]
fn a_secret_that_no_header_can_carry_is_refused_without_being_told() {
    for secret in ["s3cret\r\nX-Evil: 1", "s3cret\n", "s3\0cret"] {
        let bearer = json!([{"name": "main", "field": "key", "apply": "bearer"}]);
        let error = grant(json!(["a.test"]), bearer, json!({}), json!({"key": secret}))
            .unwrap_err()
            .to_string();
        assert!(error.contains("main") && !error.contains("s3"), "{error}");
    }
}

#[test]
fn a_grant_does_not_print_its_secrets() {
    let grant = grant(
        json!(["a.test"]),
        json!([{"name": "main", "field": "key", "apply": "bearer"}]),
        json!({}),
        json!({"key": "s3cret"}),
    )
    .unwrap();
    let printed = format!("{grant:?}");
    assert!(
        printed.contains("a.test") && printed.contains("main") && !printed.contains("s3cret"),
        "{printed}"
    );
}
