//! A page in headless Chromium.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use netlab_tests::privilege::skip;
use serde_json::Value;

/// Names that it has.
const NAMES: [&str; 2] = ["chromium", "chromium-browser"];
/// Nothing is to be sent anywhere, and nothing of it stays.
const FLAGS: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];
/// Put into a page before anything else.
const LISTEN: &str = r#"
window.errorsSeen = [];
addEventListener("error", (event) => errorsSeen.push(String(event.message)));
addEventListener("unhandledrejection", (event) => errorsSeen.push(String(event.reason)));
addEventListener("securitypolicyviolation", (event) => errorsSeen.push(event.violatedDirective + " " + event.blockedURI));
console.error = console.warn = (...words) => errorsSeen.push(words.join(" "));
"#;
const CHECK: &str = include_str!("check.js");

/// What the checking script has found.
#[derive(Debug)]
pub struct Found {
    pub value: Value,
    /// By the plot's name: marks that are drawn.
    pub marks: BTreeMap<String, u64>,
}

impl Found {
    /// What the script in a frame has left in the document around it.
    fn read(dom: &str, at: usize) -> Self {
        let begin = format!("data-found-{at}=\"");
        let digits = dom.split_once(&begin).and_then(|(_, rest)| rest.split_once('"'));
        let (digits, _) = digits.unwrap_or_else(|| panic!("frame {at} was not looked at"));
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
        let json: Vec<u8> = digits.as_bytes().chunks(2).map(|pair| byte(pair).unwrap()).collect();
        let value: Value = serde_json::from_slice(&json).unwrap();
        let plots = value["plots"].as_object().unwrap();
        let marks = plots.iter().map(|(id, plot)| (id.clone(), plot["marks"].as_u64().unwrap()));
        Self { marks: marks.collect(), value }
    }
}

/// A browser with a folder of its own, which goes with it.
pub struct Chromium {
    program: &'static str,
    folder: tempfile::TempDir,
}

impl Chromium {
    /// None, with a word why, where there is no browser.
    ///
    /// # Panics
    ///
    /// As [`skip`].
    pub fn find() -> Option<Self> {
        let works = |name: &&&str| {
            let version = Command::new(name).arg("--version").stdin(Stdio::null()).output();
            version.is_ok_and(|output| output.status.success())
        };
        let Some(program) = NAMES.iter().find(works) else {
            skip("chromium is not installed");
            return None;
        };
        Some(Self { program, folder: tempfile::tempdir().unwrap() })
    }

    /// Shows pages in frames of these sizes, and looks at each.
    ///
    /// In frames, since a window cannot be as narrow as a phone; and all at once, since a
    /// browser takes its time to start.
    pub fn look(&self, pages: &[(String, [u32; 2])]) -> Vec<Found> {
        let frame = |(at, (page, [width, height])): (usize, &(String, [u32; 2]))| {
            let page = observed(page).replace('&', "&amp;").replace('"', "&quot;");
            format!(
                "<iframe name=\"{at}\" width=\"{width}\" height=\"{height}\" \
                 style=\"border: 0; display: block\" srcdoc=\"{page}\"></iframe>"
            )
        };
        let frames: String = pages.iter().enumerate().map(frame).collect();
        let page = format!("<!DOCTYPE html><html><body>{frames}</body></html>");
        let output = self.run(&page, &["--window-size=1400,1000", "--dump-dom"]);
        let dom = String::from_utf8(output.stdout).unwrap();
        (0..pages.len()).map(|at| Found::read(&dom, at)).collect()
    }

    /// Prints a page; the file.
    pub fn print(&self, page: &str) -> Vec<u8> {
        let pdf = self.folder.path().join("page.pdf");
        let to = format!("--print-to-pdf={}", pdf.display());
        let output = self.run(page, &["--no-pdf-header-footer", &to]);
        fs::read(&pdf)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    fn run(&self, page: &str, arguments: &[&str]) -> Output {
        let (file, profile) = (self.path("page.html"), tempfile::tempdir_in(&self.folder).unwrap());
        fs::write(&file, page).unwrap();
        let mut command = Command::new("timeout");
        command.args(["60", self.program]).args(FLAGS).args(arguments);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.arg(format!("file://{}", file.display())).env("HOME", self.folder.path());
        let output = command.stdin(Stdio::null()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {stderr}", output.status);
        output
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::join(self.folder.path(), name)
    }
}

/// The page with the scripts that look at it, which its policy lets in by a nonce; for the rest
/// the policy holds.
fn observed(page: &str) -> String {
    let allowed = page.replacen("script-src ", "script-src 'nonce-look' ", 1);
    assert_ne!(allowed, page, "the page has a policy for scripts");
    let listening = format!("<head><script nonce=\"look\">{LISTEN}</script>");
    let looking = format!("<script nonce=\"look\">{CHECK}</script></body>");
    allowed.replacen("<head>", &listening, 1).replacen("</body>", &looking, 1)
}
