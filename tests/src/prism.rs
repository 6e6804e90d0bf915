//! Requests held against the descriptions that providers publish, by Stoplight's Prism: a mock server
//! that is run from a description and says what is wrong with a request.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use serde_json::Value;
use tokio::process::{Child, Command};

use crate::fixture::{list, text};
use crate::provider::Asked;
use crate::wait::until;

/// One description of a provider, and the mock server that is run from it.
pub struct Description {
    file: String,
    of: String,
    strip: String,
    except: Vec<String>,
    base: String,
    client: reqwest::Client,
    _child: Arc<Child>,
}

/// What is wrong with a request, if something is.
pub type Verdict = Result<(), String>;

impl Description {
    /// Those that a fixture's `description` names (one, or a list), where the environment has the
    /// program, in `HEDDLE_PRISM`, and the folder, in `HEDDLE_PROVIDER_DESCRIPTIONS`.
    ///
    /// Each has its `file` in the folder, and perhaps: `of`, the start of the lines that it describes,
    /// such as `api.acme.example/v3` (all of them without it); `strip`, the start of the path that its
    /// paths lack; and `except`, starts of requests (`POST /v3/tags`) about which it is known to be
    /// wrong, with the reason in `why`.
    pub async fn start(named: &Value) -> Vec<Self> {
        let (Some(folder), Some(program)) = (
            std::env::var_os("HEDDLE_PROVIDER_DESCRIPTIONS").map(PathBuf::from),
            std::env::var_os("HEDDLE_PRISM"),
        ) else {
            return Vec::new();
        };
        let named = match named {
            Value::Null => Vec::new(),
            Value::Array(several) => several.clone(),
            one => vec![one.clone()],
        };
        let client = client();
        let mut started = Vec::new();
        for named in &named {
            let text = |key: &str| text(&named[key]).to_owned();
            let file = text("file");
            let same = started.iter().find(|one: &&Self| one.file == file);
            let (base, child) = match same {
                Some(one) => (one.base.clone(), Arc::clone(&one._child)),
                None => serve(&program, &folder.join(&file)).await,
            };
            let except = list(&named["except"])
                .iter()
                .map(|line| crate::fixture::text(line).to_owned());
            let except: Vec<String> = except.collect();
            assert!(
                except.is_empty() || !text("why").is_empty(),
                "{file}: what it is excepted from needs its reason, as why"
            );
            started.push(Self {
                except,
                of: text("of"),
                strip: text("strip"),
                file,
                base,
                client: client.clone(),
                _child: child,
            });
        }
        started
    }

    /// Holds a request against the first of the descriptions that speaks of it.
    pub async fn verdict(all: &[Self], asked: &Asked) -> Verdict {
        let line = format!("{} {}", asked.method, asked.path);
        if all.iter().any(|one| one.excepts(&line)) {
            return Ok(());
        }
        let place = format!("{}{}", asked.host, asked.path);
        match all.iter().find(|one| place.starts_with(&one.of)) {
            Some(one) => one.validate(asked).await,
            None if all.is_empty() => Ok(()),
            None => Err(format!("no description speaks of {place}")),
        }
    }

    fn excepts(&self, line: &str) -> bool {
        self.except.iter().any(|except| line.starts_with(except.as_str()))
    }

    async fn validate(&self, asked: &Asked) -> Verdict {
        let path = asked.path.strip_prefix(&self.strip).unwrap_or(&asked.path);
        let query = asked.query.as_ref().map(|query| format!("?{query}"));
        let url = format!("{}{path}{}", self.base, query.unwrap_or_default());
        let method = asked.method.parse().expect("a method");
        let mut request = self.client.request(method, url);
        for (name, value) in &asked.headers {
            if name != "host" && name != "content-length" && name != "accept-encoding" {
                request = request.header(name, value);
            }
        }
        let answer = request
            .body(asked.body.clone())
            .send()
            .await
            .expect("prism answers");
        let violations = answer.headers().get("sl-violations").cloned();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap_or_default();
        let wrong = violations
            .iter()
            .filter_map(|violations| violations.to_str().ok())
            .any(|violations| violations.contains("request"));
        if wrong || matches!(status, 401 | 404 | 405 | 406 | 415 | 422) {
            return Err(format!(
                "{} {} is not what {} asks for: {status} {violations:?} {text}",
                asked.method, asked.path, self.file
            ));
        }
        Ok(())
    }
}

fn client() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().build();
    client.expect("a client can be built")
}

/// A mock server of the description in `file`, and its address.
async fn serve(program: &OsStr, file: &Path) -> (String, Arc<Child>) {
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        free.local_addr().expect("it has an address").port()
    };
    let child = Command::new(program)
        .args(["mock", "-h", "127.0.0.1", "-p", &port.to_string()])
        .arg(file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("prism starts");
    let (base, client) = (format!("http://127.0.0.1:{port}"), client());
    let ask = || async { client.get(&base).send().await.is_ok() };
    until(&format!("prism to listen with {}", file.display()), ask, |up| *up).await;
    (base, Arc::new(child))
}
