//! Rules on media types: which are taken and which are not, with `*` for any
//! subtype. Names that differ only in case, in an `x-` before the subtype or in
//! parameters are one. What does not live here: telling a type from contents.

use std::str::FromStr;

use crate::limits::MAX_MIME;

/// The type of what nothing is known of.
pub const UNKNOWN_TYPE: &str = "application/octet-stream";

/// One type, or all with the same beginning: `image/png`, `image/*` or `*/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeRule {
    kind: String,
    /// None for any.
    subtype: Option<String>,
}

/// A rule that is not of the form `type/subtype` or `type/*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a media type has the form image/png or image/*")]
pub struct TypeRuleError;

/// Which media types are taken. Without any rule, all are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeRules {
    /// If there are any, nothing else is taken.
    pub allow: Vec<TypeRule>,
    /// What is not taken, even if it is allowed.
    pub deny: Vec<TypeRule>,
}

impl FromStr for TypeRule {
    type Err = TypeRuleError;

    fn from_str(text: &str) -> Result<Self, TypeRuleError> {
        let (kind, subtype) = parts(text);
        let plain = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && !b"*/,".contains(&b))
        };
        let any = subtype == "*";
        if text.len() > MAX_MIME || !(plain(&kind) || (kind == "*" && any)) {
            return Err(TypeRuleError);
        }
        if !any && !plain(&subtype) {
            return Err(TypeRuleError);
        }
        Ok(Self { kind, subtype: (!any).then_some(subtype) })
    }
}

impl TypeRule {
    /// Whether the rule is about this type.
    pub fn matches(&self, mime: &str) -> bool {
        let (kind, subtype) = parts(mime);
        (self.kind == "*" || self.kind == kind)
            && self.subtype.as_ref().is_none_or(|wanted| *wanted == subtype)
    }
}

impl TypeRules {
    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// Whether a file of this type is taken.
    pub fn permits(&self, mime: &str) -> bool {
        let named = |rules: &[TypeRule]| rules.iter().any(|rule| rule.matches(mime));
        !named(&self.deny) && (self.allow.is_empty() || named(&self.allow))
    }

    /// Whether a file that its sender says to be of this type is taken. Who
    /// declares [`UNKNOWN_TYPE`] says nothing; only a rule that denies it counts.
    pub fn permits_declared(&self, mime: &str) -> bool {
        let says_nothing = parts(mime) == parts(UNKNOWN_TYPE);
        self.permits(mime)
            || (says_nothing && !self.deny.iter().any(|rule| rule.matches(UNKNOWN_TYPE)))
    }
}

/// Type and subtype in their plain form.
fn parts(mime: &str) -> (String, String) {
    let essence = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (kind, subtype) = essence.split_once('/').unwrap_or((&essence, ""));
    (kind.to_owned(), subtype.strip_prefix("x-").unwrap_or(subtype).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow: &[&str], deny: &[&str]) -> TypeRules {
        let parse = |rules: &[&str]| rules.iter().map(|rule| rule.parse().unwrap()).collect();
        TypeRules { allow: parse(allow), deny: parse(deny) }
    }

    #[test]
    fn only_types_and_their_families_are_rules() {
        for rule in ["image/png", "image/*", "*/*", "Application/X-Executable"] {
            assert!(rule.parse::<TypeRule>().is_ok(), "{rule}");
        }
        let long = format!("a/{}", "b".repeat(MAX_MIME));
        for rule in ["", "image", "image/", "/png", "*/png", "image/p*", "a/b/c", "a/b,c/d", &long]
        {
            assert!(rule.parse::<TypeRule>().is_err(), "{rule}");
        }
    }

    #[test]
    fn what_is_denied_is_not_taken_even_if_it_is_allowed() {
        let rules = rules(&["image/*", "text/plain"], &["image/svg+xml"]);
        assert!(rules.permits("image/png") && rules.permits("TEXT/plain; charset=utf-8"));
        assert!(!rules.permits("image/svg+xml") && !rules.permits("text/html"));
        assert!(TypeRules::default().permits("any/thing"));
    }

    #[test]
    fn an_unregistered_name_is_that_of_its_registered_brother() {
        let rules = rules(&[], &["audio/wav", "application/x-executable"]);
        assert!(!rules.permits("audio/x-wav") && !rules.permits("application/executable"));
    }

    #[test]
    fn who_declares_that_nothing_is_known_is_not_kept_out_by_a_list_of_allowed_types() {
        assert!(rules(&["image/*"], &[]).permits_declared(UNKNOWN_TYPE));
        assert!(!rules(&["image/*"], &[]).permits(UNKNOWN_TYPE));
        assert!(!rules(&[], &[UNKNOWN_TYPE]).permits_declared(UNKNOWN_TYPE));
        assert!(!rules(&["image/*"], &[]).permits_declared("text/plain"));
    }
}
