//! `netlab doctor`.

use std::{fs, path::Path};

use anyhow::Context as _;
use netlab::{
    capture::service,
    doctor::facts::{self, Here, Scope, Subject},
    spec::{Spec, read_str},
};

use super::{Outcome, output};
use crate::cli::DoctorArgs;

/// Gathers facts and writes them down.
///
/// # Errors
///
/// Where there is nothing to look into, or the file cannot be written.
pub fn run(args: &DoctorArgs) -> anyhow::Result<Outcome> {
    let scope = if args.here {
        Scope::Here(Here { manifests: args.files.clone(), ..Here::default() })
    } else {
        Scope::Lab(args.name.clone())
    };
    let subject = subject(args.subject.as_deref(), &scope)?;
    let facts = facts::gather(&scope, &subject)?;
    for gap in &facts.gaps {
        let host = gap.host.as_deref().unwrap_or("all hosts");
        log::warn!("{host}: {}. {}", gap.reason, gap.hides);
    }
    let text = facts.write();
    if args.save_facts == Path::new("-") {
        return output::print(&text);
    }
    fs::write(&args.save_facts, text)
        .with_context(|| format!("cannot write {}", args.save_facts.display()))?;
    Ok(Outcome::Fine)
}

fn subject(asked: Option<&str>, scope: &Scope) -> anyhow::Result<Subject> {
    let Some(asked) = asked else { return Ok(Subject::everything()) };
    let spec = spec(scope)?;
    match asked.parse::<std::net::SocketAddr>() {
        Ok(socket) => Ok(Subject::dialled(asked, socket.ip(), socket.port(), &spec)),
        Err(_) => Ok(Subject::service(asked, service::find(&spec, asked)?)),
    }
}

fn spec(scope: &Scope) -> anyhow::Result<Spec> {
    let mut objects = netlab::spec::Objects::default();
    for manifest in scope.manifests()? {
        objects.append(read_str(&manifest.origin, &manifest.text)?);
    }
    Ok(objects.resolve()?)
}
