//! The programs that load rules: nft, iptables-restore and their kin.
//!
//! One that works is found by having it load all that kube-proxy may ask for into a namespace
//! that is thrown away. So nobody finds out half-way that the kernel lacks a match.

mod run;
pub(super) mod sample;

pub(crate) use self::run::{Program, directories as program_directories};
use self::sample::sample;
use super::{
    Error, Kind, ROUTE_LOCALNET, Result, Step, iptables,
    nftables::{self, Existing},
    view::{Family, View},
};
use crate::netlink::{Netns, sysctl};

/// Variants of iptables, the machine's own choice first. All but the first are names of what
/// that may be an alternative for.
const IPTABLES: [&str; 3] = ["", "-nft", "-legacy"];

/// A program, or a family of programs, that loads rules.
#[derive(Clone, Debug)]
pub(super) struct Tool {
    kind: Kind,
    /// Of iptables: which variant.
    variant: &'static str,
    version: String,
}

/// The rules of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ruleset {
    Nftables(nftables::Ruleset),
    Iptables(iptables::Ruleset),
}

impl Ruleset {
    pub(super) fn frontends(&self) -> usize {
        match self {
            Self::Nftables(rules) => rules.frontends(),
            Self::Iptables(rules) => rules.frontends(),
        }
    }

    pub(super) fn backends(&self) -> usize {
        match self {
            Self::Nftables(rules) => rules.backends(),
            Self::Iptables(rules) => rules.backends(),
        }
    }
}

/// Whether this machine can do it; returns the program that does, with its version.
///
/// # Errors
///
/// [`Error::Missing`] where no program is installed, [`Error::Lacking`] where none works.
pub async fn probe(kind: Kind) -> Result<String> {
    Tool::find(kind).await.map(|tool| tool.version)
}

/// Takes away everything of a mode from a namespace. Fine where there is nothing, or no
/// program to look with.
///
/// # Errors
///
/// Where the program refuses.
pub async fn remove(kind: Kind, netns: &Netns) -> Result<()> {
    if kind == Kind::Iptables {
        sysctl::write(netns, ROUTE_LOCALNET, "0")?;
    }
    let Ok(tool) = Tool::find(kind).await else { return Ok(()) };
    for family in Family::ALL {
        match kind {
            Kind::Nftables => tool.nft(netns, &nftables::removal(family)).await?,
            Kind::Iptables => {
                let saved = tool.saved(netns, family).await?;
                tool.restore(netns, family, &iptables::removal(&saved)).await?;
            }
        }
    }
    Ok(())
}

impl Tool {
    /// Finds one that works.
    pub(super) async fn find(kind: Kind) -> Result<Self> {
        let variants = match kind {
            Kind::Nftables => &[""][..],
            Kind::Iptables => &IPTABLES,
        };
        let mut failure = None;
        for variant in variants {
            match Self::try_out(kind, variant).await {
                Ok(Some(tool)) => return Ok(tool),
                Ok(None) => {}
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(match failure {
            None => {
                let program = if kind == Kind::Nftables { "nft" } else { "iptables" };
                Error::Missing { program, kind }
            }
            Some(source) => Error::Lacking { kind, source: Box::new(source) },
        })
    }

    /// None where it is not installed.
    async fn try_out(kind: Kind, variant: &'static str) -> Result<Option<Self>> {
        let scratch = Netns::unnamed()?;
        let name = match kind {
            Kind::Nftables => "nft".to_owned(),
            Kind::Iptables => format!("iptables{variant}"),
        };
        let Some(program) = Program::find(&name) else { return Ok(None) };
        let version = program.run(&scratch, &["--version"], "").await?.trim().to_owned();
        let tool = Self { kind, variant, version };
        let (spec, node) = sample();
        for family in Family::ALL {
            let view = View::new(&spec, &node, family);
            tool.load(&scratch, &view, None, &mut |_| ()).await?;
        }
        Ok(Some(tool))
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Makes the rules of a view's family be the view's, where `present` is what is there, or
    /// not known. Returns what is there then. `tell` hears of each transaction.
    pub(super) async fn load(
        &self,
        netns: &Netns,
        view: &View<'_>,
        present: Option<&Ruleset>,
        tell: &mut (dyn FnMut(Step) + Send),
    ) -> Result<Ruleset> {
        match self.kind {
            Kind::Nftables => {
                let present = match present {
                    Some(Ruleset::Nftables(rules)) => Some(rules),
                    _ => None,
                };
                self.load_nftables(netns, view, present, tell).await.map(Ruleset::Nftables)
            }
            Kind::Iptables => {
                let present = match present {
                    Some(Ruleset::Iptables(rules)) => Some(rules),
                    _ => None,
                };
                tell(Step { family: view.family, at: 1, of: 1 });
                self.load_iptables(netns, view, present).await.map(Ruleset::Iptables)
            }
        }
    }

    async fn load_nftables(
        &self,
        netns: &Netns,
        view: &View<'_>,
        present: Option<&nftables::Ruleset>,
        tell: &mut (dyn FnMut(Step) + Send),
    ) -> Result<nftables::Ruleset> {
        let family = view.family;
        let wanted = nftables::render(view);
        if present.is_some() {
            tell(Step { family, at: 1, of: 1 });
            let script = nftables::transaction(&wanted, present, &Existing::default());
            self.nft(netns, &script).await?;
            return Ok(wanted);
        }
        let existing = self.existing(netns, view.family).await?;
        if existing == Existing::default() {
            let scripts = nftables::batches(&wanted);
            for (at, script) in (1..).zip(&scripts) {
                tell(Step { family, at, of: scripts.len() });
                self.nft(netns, script).await?;
            }
            return Ok(wanted);
        }
        tell(Step { family, at: 1, of: 1 });
        let script = nftables::transaction(&wanted, None, &existing);
        if let Err(error) = self.nft(netns, &script).await {
            log::warn!("{error}; loading everything anew");
            // What is there does not go with what should be, such as a base chain of the same
            // name with another priority. It goes, and with it who stays with which endpoint.
            let anew = nftables::transaction(&wanted, None, &Existing::default());
            self.nft(netns, &format!("{}{anew}", nftables::removal(view.family))).await?;
        }
        Ok(wanted)
    }

    async fn load_iptables(
        &self,
        netns: &Netns,
        view: &View<'_>,
        present: Option<&iptables::Ruleset>,
    ) -> Result<iptables::Ruleset> {
        let wanted = iptables::render(view);
        let saved = match present {
            Some(_) => iptables::Saved::default(),
            None => self.saved(netns, view.family).await?,
        };
        let script = iptables::transaction(&wanted, present, &saved);
        self.restore(netns, view.family, &script).await?;
        Ok(wanted)
    }

    async fn nft(&self, netns: &Netns, script: &str) -> Result<()> {
        if script.is_empty() {
            return Ok(());
        }
        self.program("nft")?.run(netns, &["-f", "-"], script).await.map(|_| ())
    }

    async fn existing(&self, netns: &Netns, family: Family) -> Result<Existing> {
        let nft = self.program("nft")?;
        let mut existing = Existing::default();
        for (kind, plural) in [("chain", "chains"), ("set", "sets"), ("map", "maps")] {
            // Names are enough. For elements the kernel is asked set by set, the anonymous ones of
            // all families among them, which takes seconds where there are 10,000.
            let args = ["--json", "--terse", "list", plural, family.keyword()];
            let json = nft.run(netns, &args, "").await?;
            let json = serde_json::from_str(&json).unwrap_or_default();
            let names = Existing::names(&json, kind, family);
            if kind == "chain" { existing.chains = names } else { existing.sets.extend(names) }
        }
        Ok(existing)
    }

    async fn saved(&self, netns: &Netns, family: Family) -> Result<iptables::Saved> {
        let program = self.program(&self.of_iptables(family, "-save"))?;
        Ok(iptables::Saved::parse(&program.run(netns, &[], "").await?))
    }

    async fn restore(&self, netns: &Netns, family: Family, script: &str) -> Result<()> {
        if script.is_empty() {
            return Ok(());
        }
        let program = self.program(&self.of_iptables(family, "-restore"))?;
        // Others may hold the lock of iptables-legacy for a moment.
        program.run(netns, &["--noflush", "--wait", "5"], script).await.map(|_| ())
    }

    /// `iptables-nft-restore`, `ip6tables-save`.
    fn of_iptables(&self, family: Family, verb: &str) -> String {
        format!("{}tables{}{verb}", family.keyword(), self.variant)
    }

    fn program(&self, name: &str) -> Result<Program> {
        Program::find(name).ok_or_else(|| Error::Run {
            program: name.to_owned(),
            source: std::io::ErrorKind::NotFound.into(),
        })
    }
}
