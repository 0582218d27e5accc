//! What a person sees of a run of T2: the stage's picture, in which the lines that
//! our programs print are told in words and as the states that they are in.

use serde_json::Value;

use crate::trace::{Recording, State};

/// The picture of a run of our programs.
pub(super) fn told(mut recording: Recording) -> Recording {
    for mark in &mut recording.marks {
        let Ok(Value::Object(mut event)) = serde_json::from_str(&mark.text) else { continue };
        let (Some(Value::String(name)), Some(host)) = (event.remove("event"), mark.host) else {
            continue;
        };
        let fields = event.iter().map(|(field, value)| match value {
            Value::String(text) => format!("{field} {text}"),
            other => format!("{field} {other}"),
        });
        let fields: Vec<_> = fields.collect();
        mark.text =
            if fields.is_empty() { name.clone() } else { format!("{name}: {}", fields.join(", ")) };
        if name != "progress" {
            let of = "connection".to_owned();
            recording.states.push(State { at_us: mark.at_us, host, of, name });
        }
    }
    recording
}
