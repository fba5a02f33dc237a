//! The format of a line (Hubble, ztunnel, Envoy), found by the line's fields, for each line anew.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::record::{Passed, Reading};
use super::{envoy, hubble, ztunnel};
use crate::policy::ask::Question;

/// The formats of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// An event of Hubble with a flow.
    Hubble,
    /// A flow of Hubble.
    HubbleFlow,
    /// The access log of ztunnel.
    Ztunnel,
    /// The access log of Envoy.
    Envoy,
    /// A line of `eval --flows`.
    Question,
}

/// The fields that tell formats apart.
#[derive(Deserialize)]
struct Fields {
    flow: Option<IgnoredAny>,
    verdict: Option<IgnoredAny>,
    node_name: Option<IgnoredAny>,
    scope: Option<IgnoredAny>,
    level: Option<IgnoredAny>,
    #[serde(rename = "src.addr")]
    source: Option<IgnoredAny>,
    upstream_cluster: Option<IgnoredAny>,
    downstream_remote_address: Option<IgnoredAny>,
    from: Option<IgnoredAny>,
    to: Option<IgnoredAny>,
}

/// Reads a line. `last` is the format of the line before, which is tried first. Anything before the `{`, such as the
/// pod's name from `kubectl logs --prefix`, is skipped.
pub(super) fn read<'l>(line: &'l [u8], last: &mut Format) -> Result<Reading<'l>, String> {
    if is_envoy_text(line) {
        return Err(
            "this is an access log of Envoy as text: say `accessLogEncoding: JSON` in Istio's `meshConfig`".into()
        );
    }
    let start = line.iter().position(|byte| *byte == b'{').ok_or("this is no JSON")?;
    let line = &line[start..];
    if let Ok(reading) = read_as(line, *last) {
        return Ok(reading);
    }
    let fields: Fields = serde_json::from_slice(line).map_err(|error| format!("this is no JSON object: {error}"))?;
    let format = match fields {
        Fields { flow: Some(_), .. } => Format::Hubble,
        Fields { verdict: Some(_), .. } => Format::HubbleFlow,
        Fields { scope: Some(_), source: Some(_), .. } => Format::Ztunnel,
        Fields { upstream_cluster: Some(_), .. } | Fields { downstream_remote_address: Some(_), .. } => Format::Envoy,
        Fields { from: Some(_), .. } | Fields { to: Some(_), .. } => Format::Question,
        // Other lines of the same programs are skipped: events of Hubble without a flow, and other messages of the
        // proxies.
        Fields { node_name: Some(_), .. } | Fields { scope: Some(_), level: Some(_), .. } => {
            return Ok(Reading::Passed(Passed::NoFlow));
        }
        _ => return Err("this is no flow of Hubble, ztunnel or Envoy, and none of `eval --flows`".to_owned()),
    };
    let reading = read_as(line, format)?;
    *last = format;
    Ok(reading)
}

/// Returns whether a line is in Envoy's own format, `[2024-06-02T13:24:57.930Z] "GET / HTTP/1.1" 200 …`, perhaps with a
/// pod's name before it.
fn is_envoy_text(line: &[u8]) -> bool {
    let time = |at: usize| line.get(at + 1).is_some_and(u8::is_ascii_digit) && line.get(at + 5) == Some(&b'-');
    let Some(start) = (0..line.len().min(256)).find(|at| line[*at] == b'[' && time(*at)) else { return false };
    let brace = line.iter().position(|byte| *byte == b'{').unwrap_or(line.len());
    start < brace && line[start..].windows(3).take(40).any(|bytes| bytes == b"] \"")
}

fn read_as(line: &[u8], format: Format) -> Result<Reading<'_>, String> {
    match format {
        Format::Hubble => hubble::event(line),
        Format::HubbleFlow => hubble::bare(line),
        Format::Ztunnel => ztunnel::line(line),
        Format::Envoy => envoy::line(line),
        Format::Question => Question::parse(line).map(|question| Reading::Question(Box::new(question))),
    }
}
