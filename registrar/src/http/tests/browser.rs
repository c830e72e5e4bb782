//! The page in a browser: Debian's Chromium without a window, told what to do over a pipe (the DevTools protocol).

use serde_json::{Value, json};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::*;

/// A tab of a browser of its own.
struct Tab {
    _browser: Child,
    _profile: tempfile::TempDir,
    tell: ChildStdin,
    hear: BufReader<ChildStdout>,
    session: Option<String>,
    last: u64,
    /// What the page's script, or the policy of what it may do, complained about.
    complaints: Vec<Value>,
}

impl Tab {
    /// Opens the page; without scripts, if so wished.
    async fn open(served: &Served, scripts: bool) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Command::new("sh")
            // The browser is told over descriptor 3 and tells over 4.
            .args(["-c", "exec chromium \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", "chromium"])
            .args(["--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"])
            .args(["--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"])
            .args(["--disable-extensions", "--disable-component-update", "--no-proxy-server"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("sh is there");
        let (tell, hear) = (browser.stdin.take().unwrap(), BufReader::new(browser.stdout.take().unwrap()));
        let (session, complaints) = (None, Vec::new());
        let mut tab = Self { _browser: browser, _profile: profile, tell, hear, session, last: 0, complaints };
        let target = tab.ask("Target.createTarget", json!({"url": "about:blank"})).await["targetId"].clone();
        let attached = tab.ask("Target.attachToTarget", json!({"targetId": target, "flatten": true})).await;
        tab.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log"] {
            tab.ask(&format!("{domain}.enable"), json!({})).await;
        }
        tab.ask("Emulation.setScriptExecutionDisabled", json!({"value": !scripts})).await;
        let url = format!("http://{}/", served.address);
        let gone = tab.ask("Page.navigate", json!({"url": url})).await;
        assert_eq!(gone["errorText"], Value::Null);
        tab
    }

    /// Has something done, and waits for what came of it.
    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.try_to(method, params).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// As [`Self::ask`]; what is being loaded anew cannot be looked at, for example.
    async fn try_to(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = session.clone().into();
        }
        let mut bytes = serde_json::to_vec(&message).unwrap();
        bytes.push(0);
        self.tell.write_all(&bytes).await.expect("chromium (the package of that name) runs");
        loop {
            let mut bytes = Vec::new();
            let read = tokio::time::timeout(LONG, self.hear.read_until(0, &mut bytes)).await;
            read.expect("the browser answers").unwrap();
            assert_eq!(bytes.pop(), Some(0), "the browser has ended; is the package chromium installed?");
            let message: Value = serde_json::from_slice(&bytes).unwrap();
            if message["id"] == self.last {
                return match &message["error"] {
                    Value::Null => Ok(message["result"].clone()),
                    error => Err(error.clone()),
                };
            }
            if ["Runtime.exceptionThrown", "Log.entryAdded"].iter().any(|kind| message["method"] == **kind) {
                self.complaints.push(message["params"].clone());
            }
        }
    }

    /// What there is in a part of the page; nothing while it is loaded.
    async fn text(&mut self, part: &str) -> String {
        self.find(part).await.unwrap_or_default()
    }

    async fn find(&mut self, part: &str) -> Result<String, Value> {
        let document = self.try_to("DOM.getDocument", json!({})).await?["root"]["nodeId"].clone();
        let found = self.try_to("DOM.querySelector", json!({"nodeId": document, "selector": part})).await?;
        let html = self.try_to("DOM.getOuterHTML", json!({"nodeId": found["nodeId"]})).await?;
        Ok(html["outerHTML"].as_str().unwrap_or_default().to_owned())
    }

    /// Waits until a part of the page shows something.
    async fn until(&mut self, part: &str, wanted: &str) {
        let start = Instant::now();
        loop {
            let text = self.text(part).await;
            if text.contains(wanted) {
                return;
            }
            assert!(
                start.elapsed() < LONG,
                "{part} does not show {wanted:?}, but {text}; {:?}",
                self.complaints
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The value of an expression in the page.
    async fn evaluate(&mut self, expression: &str) -> Value {
        let result =
            self.ask("Runtime.evaluate", json!({"expression": expression, "returnByValue": true})).await;
        assert_eq!(result["exceptionDetails"], Value::Null, "{expression}");
        result["result"]["value"].clone()
    }
}

#[tokio::test]
async fn with_scripts_the_page_shows_what_changes_without_being_loaded_anew() {
    let served = Served::new();
    served.register(pool("<b>echo</b>"), element(0x11, Policy::WeightedRoundRobin { weight: 42 })).await;
    let mut tab = Tab::open(&served, true).await;
    tab.until("#live", ">live<").await;
    tab.until("#elements", "0x00000011").await;
    assert_eq!(tab.evaluate("document.querySelector('#elements a').textContent").await, "<b>echo</b>");
    tab.evaluate("window.here = true").await;
    served.register(pool("<b>echo</b>"), element(0x22, Policy::WeightedRoundRobin { weight: 7 })).await;
    tab.until("#elements", "0x00000022").await;
    tab.until("#numbers", "<dt>Pool elements</dt><dd>2</dd>").await;
    assert_eq!(tab.evaluate("window.here").await, true, "it was not loaded anew");
    assert_eq!(tab.evaluate("document.querySelectorAll('b').length").await, 0, "handles are text");
    // The times that run are counted on by the page itself.
    let left = "Number(document.querySelector('#elements [data-step=\"-1\"]').dataset.seconds)";
    let before = tab.evaluate(left).await.as_f64().unwrap();
    let start = Instant::now();
    while tab.evaluate(left).await.as_f64().unwrap() >= before {
        assert!(start.elapsed() < LONG, "life does not run");
    }
    // The registrar ends, and that is seen.
    assert_eq!(tab.complaints, Vec::<Value>::new(), "the style and the script are those of the policy");
    served.site.abort();
    tab.until("#live", "not connected").await;
}

#[tokio::test]
async fn without_scripts_the_page_is_complete_and_loads_itself_anew() {
    let served = peers::with_peer().await;
    served.register(pool("echo"), element(0x11, Policy::RoundRobin)).await;
    let mut tab = Tab::open(&served, false).await;
    for (part, shown) in [
        ("h1", "Registrar 0x0000abcd"),
        ("#numbers", "<dt>Pool elements</dt><dd>1</dd>"),
        ("#numbers", "synchronising"),
        ("#peers", "0x00002222"),
        ("#elements", "0x00000011"),
        ("#counters", "Registrations accepted"),
    ] {
        tab.until(part, shown).await;
    }
    assert!(!tab.text("#live").await.contains("live<"), "no script has run");
    served.register(pool("echo"), element(0x22, Policy::RoundRobin)).await;
    tab.until("#elements", "0x00000022").await;
    assert!(!tab.text("#live").await.contains("live<"), "no script has run");
    assert_eq!(tab.complaints, Vec::<Value>::new());
}
