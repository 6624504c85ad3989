//! `selvedge status`: how a running hub or edge is doing.

use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use overlay::control::{Question, Reply};
use overlay::status::{EdgeStatus, ImportEntryStatus, LinkStatus, Pending, Status, TrustStatus};

use super::operator::{ask, in_words};

/// An edge that is well is heard more often, in seconds.
const CONFIRMED_WITHIN: u64 = 20;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Folder of the hub or edge, which must be running on this machine.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,

    /// The same as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let status = match ask(&arguments.state, &Question::Status)? {
        Reply::Status(status) => status,
        other => bail!("not a status: {other:?}"),
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        let mut text = String::new();
        write(&mut text, &status)?;
        print!("{text}");
    }
    Ok(ExitCode::SUCCESS)
}

fn write(text: &mut String, status: &Status) -> fmt::Result {
    let certificate = match status.certificate_seconds {
        0 => "certificate expired".to_owned(),
        seconds => format!("certificate good for {}", in_words(seconds)),
    };
    writeln!(text, "{} of overlay {}, {certificate}", status.node, status.overlay)?;
    write_trust(text, &status.trust)?;
    writeln!(text, "\nlinks: {}", status.links.len())?;
    status.links.iter().try_for_each(|link| write_link(text, link))?;
    writeln!(text, "\nstreams: {}", status.streams)?;
    writeln!(text, "\nedges: {}", status.edges.len())?;
    status.edges.iter().try_for_each(|edge| write_edge(text, edge))?;
    write_services(text, status)?;
    write_rotation(text, status)?;
    if !status.pending.is_empty() {
        writeln!(text, "\npending: {}", status.pending.len())?;
    }
    status.pending.iter().try_for_each(|Pending { what, why }| writeln!(text, "  {what}: {why}"))
}

fn write_trust(text: &mut String, trust: &TrustStatus) -> fmt::Result {
    let number = if trust.number == 0 { "none".to_owned() } else { trust.number.to_string() };
    let roots = trust.roots.iter().map(|root| format!("{} good for {}", root.id, in_words(root.seconds)));
    let roots: Vec<_> = roots.collect();
    writeln!(text, "statement of the authority: {number}, revoked: {}, roots: {}", trust.revoked, roots.join(", "))
}

fn write_link(text: &mut String, link: &LinkStatus) -> fmt::Result {
    let round_trip = link.round_trip_ms.map_or_else(|| "not measured".to_owned(), |time| format!("{time:.1} ms"));
    let suspect = if link.suspect { ", an answer is overdue" } else { "" };
    writeln!(text, "  {}: {round_trip}, {} streams{suspect}", link.peer, link.streams)
}

/// Of an edge; a hub has none.
fn write_services(text: &mut String, status: &Status) -> fmt::Result {
    if !status.imports.is_empty() || !status.import_entries.is_empty() {
        writeln!(text, "\nimports: {}", status.imports.len())?;
    }
    let imports = &mut status.imports.iter();
    imports.try_for_each(|import| writeln!(text, "  {} of {}", import.host, import.edges.join(", ")))?;
    for ImportEntryStatus { entry, .. } in status.import_entries.iter().filter(|entry| entry.services == 0) {
        writeln!(text, "  nothing for {entry}")?;
    }
    if !status.exports.is_empty() {
        writeln!(text, "\nexports: {}", status.exports.len())?;
    }
    status.exports.iter().try_for_each(|export| {
        let ports: Vec<_> = export.ports.iter().map(u16::to_string).collect();
        writeln!(text, "  {} port {}", export.host, ports.join(", "))
    })
}

fn write_rotation(text: &mut String, status: &Status) -> fmt::Result {
    let Some(rotation) = status.rotation else { return Ok(()) };
    let signs = match rotation.signs_in_seconds {
        0 => "signs".to_owned(),
        seconds => format!("signs in {}", in_words(seconds)),
    };
    writeln!(text, "\nnew root: {signs}, the old one is believed for {}", in_words(rotation.done_in_seconds))
}

fn write_edge(text: &mut String, edge: &EdgeStatus) -> fmt::Result {
    let by = edge.by.as_ref().map(|hub| format!(" by hub {hub}")).unwrap_or_default();
    let services = if edge.services.is_empty() { "no services".to_owned() } else { edge.services.join(", ") };
    let unlinked = if edge.is_unlinked { ", without a link" } else { "" };
    let silent = match edge.heard_seconds_ago {
        seconds if seconds > CONFIRMED_WITHIN => format!(", silent for {seconds} s"),
        _ => String::new(),
    };
    writeln!(text, "  {}{by}{unlinked}{silent}: {services}", edge.name)
}

#[cfg(test)]
mod tests {
    use overlay::node::Peer;
    use overlay::status::{ExportStatus, ImportStatus, RootStatus, RotationStatus};

    use super::*;

    #[test]
    fn the_text_has_links_edges_and_what_is_missing() {
        let link = LinkStatus {
            peer: Peer::Hub { name: "h2".into() },
            worker: 1,
            round_trip_ms: Some(1.5),
            streams: 3,
            suspect: true,
        };
        let edge = EdgeStatus {
            name: "a".into(),
            by: Some("h2".into()),
            locality: String::new(),
            services: vec!["one.global".into(), "two.global".into()],
            epoch: 1,
            sequence: 1,
            heard_seconds_ago: 14,
            is_unlinked: false,
        };
        let gone = EdgeStatus { name: "c".into(), by: None, heard_seconds_ago: 34, is_unlinked: true, ..edge.clone() };
        let idle = |services| ImportEntryStatus { entry: format!("import[{services}] hosts *.global"), services };
        let status = Status {
            overlay: "mesh".into(),
            node: Peer::Hub { name: "h1".into() },
            certificate_seconds: 3725,
            trust: TrustStatus {
                number: 9,
                revoked: 2,
                roots: vec![RootStatus { id: "0a1b2c3d".into(), seconds: 7260 }],
            },
            links: vec![link],
            edges: vec![edge, gone],
            streams: 2,
            imports: vec![ImportStatus { host: "one.global".into(), edges: vec!["a".into(), "b".into()] }],
            import_entries: vec![idle(1), idle(0)],
            exports: vec![ExportStatus { host: "own.global".into(), ports: vec![80, 81] }],
            rotation: Some(RotationStatus { signs_in_seconds: 0, done_in_seconds: 90 }),
            pending: vec![Pending { what: "192.0.2.1:7443".into(), why: "no link: refused".into() }],
        };
        let mut text = String::new();
        write(&mut text, &status).unwrap();
        assert_eq!(
            text,
            "hub h1 of overlay mesh, certificate good for 1 h 2 min\nstatement of the authority: 9, revoked: 2, roots: 0a1b2c3d good for 2 h 1 min\n\nlinks: 1\n  hub h2: 1.5 ms, 3 streams, an answer is overdue\n\nstreams: 2\n\n\
             edges: 2\n  a by hub h2: one.global, two.global\n  c, without a link, silent for 34 s: one.global, two.global\n\n\
             imports: 1\n  one.global of a, b\n  nothing for import[0] hosts *.global\n\nexports: 1\n  own.global port 80, 81\n\nnew root: signs, the old one is believed for 90 s\n\npending: 1\n  192.0.2.1:7443: no link: refused\n"
        );
    }
}
