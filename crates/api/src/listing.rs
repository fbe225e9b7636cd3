//! Lists in pages, and which rules a list is about.

use engine::{ResourceId, RuleView};
use schemars::JsonSchema;
use serde::Serialize;
use topic::TopicFilter;

use crate::body::Params;
use crate::error::ApiError;

pub(crate) const LIMIT_DEFAULT: usize = 100;
pub(crate) const LIMIT_MAX: usize = 10_000;

/// A part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    page: usize,
    limit: usize,
}

/// What a page says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Meta {
    page: usize,
    limit: usize,
    /// All that the list has, over every page.
    count: usize,
    hasnext: bool,
}

impl Page {
    /// From `page` (1) and `limit` (100, at most 10 000).
    pub(crate) fn of(params: &Params) -> Result<Self, ApiError> {
        let page = positive(params, "page", usize::MAX)?.unwrap_or(1);
        let limit = positive(params, "limit", LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
        Ok(Self { page, limit })
    }

    /// How many items come before this page.
    pub(crate) fn start(self) -> usize {
        (self.page - 1).saturating_mul(self.limit)
    }

    /// How many items the page has at most.
    pub(crate) fn limit(self) -> usize {
        self.limit
    }

    /// What is said of the page of a list with so many items.
    pub(crate) fn meta(self, count: usize) -> Meta {
        let hasnext = self.start().saturating_add(self.limit) < count;
        Meta { page: self.page, limit: self.limit, count, hasnext }
    }

    /// The items of this page.
    pub(crate) fn cut<T>(self, all: Vec<T>) -> (Vec<T>, Meta) {
        let meta = self.meta(all.len());
        (all.into_iter().skip(self.start()).take(self.limit).collect(), meta)
    }
}

fn positive(params: &Params, name: &str, max: usize) -> Result<Option<usize>, ApiError> {
    let Some(text) = params.get(name) else { return Ok(None) };
    match text.parse::<usize>() {
        Ok(number) if (1..=max).contains(&number) => Ok(Some(number)),
        Ok(_) | Err(_) if max == usize::MAX => {
            Err(ApiError::bad_request(format!("`{name}` must be an integer from 1, found `{text}`")))
        }
        Ok(_) | Err(_) => {
            Err(ApiError::bad_request(format!("`{name}` must be an integer from 1 to {max}, found `{text}`")))
        }
    }
}

/// Which rules are asked for; what is not given does not filter.
#[derive(Debug, Default)]
pub(crate) struct RuleFilter {
    enable: Option<bool>,
    like_id: Option<String>,
    like_description: Option<String>,
    /// A FROM that is exactly this.
    from: Option<String>,
    /// A FROM that has this in it.
    like_from: Option<String>,
    /// A FROM that, taken for a topic, falls under this filter.
    match_from: Option<TopicFilter>,
    /// Any of these actions.
    actions: Vec<String>,
    /// Any of these sources.
    sources: Vec<String>,
    /// A namespace: no rule is in one.
    namespaced: bool,
}

impl RuleFilter {
    pub(crate) fn of(params: &Params) -> Result<Self, ApiError> {
        let text = |name| params.get(name).map(str::to_owned);
        let flag = |name| params.get(name).map(|text| boolean(name, text)).transpose();
        // Every rule is global, so that this narrows nothing; it may be asked for all the same.
        flag("only_global")?;
        let enable = flag("enable")?;
        Ok(Self {
            enable,
            like_id: text("like_id"),
            like_description: text("like_description"),
            from: text("from"),
            like_from: text("like_from"),
            match_from: params.get("match_from").map(filter).transpose()?,
            actions: ids(params, "action")?,
            sources: ids(params, "source")?,
            namespaced: params.get("ns").is_some_and(|ns| !ns.is_empty()),
        })
    }

    pub(crate) fn matches(&self, rule: &RuleView) -> bool {
        let like = |part: &Option<String>, whole: &str| {
            part.as_ref().is_none_or(|part| whole.contains(part.as_str()))
        };
        !self.namespaced
            && self.enable.is_none_or(|enable| enable == rule.enable)
            && like(&self.like_id, &rule.id)
            && like(&self.like_description, &rule.description)
            && self.from.as_ref().is_none_or(|from| rule.from.contains(from))
            && self
                .like_from
                .as_ref()
                .is_none_or(|part| rule.from.iter().any(|from| from.contains(part.as_str())))
            && self
                .match_from
                .as_ref()
                .is_none_or(|filter| rule.from.iter().any(|from| topic::matches(filter.as_str(), from)))
            && self.uses_action(rule)
            && self.reads_source(rule)
    }

    fn uses_action(&self, rule: &RuleView) -> bool {
        self.actions.is_empty()
            || rule.action_details.iter().any(|(id, _)| {
                let id = id.to_string();
                self.actions.contains(&id)
            })
    }

    fn reads_source(&self, rule: &RuleView) -> bool {
        let named = |from: &String| {
            let id = from.strip_prefix("$bridges/").or_else(|| from.strip_prefix("$sources/"));
            id.is_some_and(|id| self.sources.iter().any(|source| source == id))
        };
        self.sources.is_empty() || rule.from.iter().any(named)
    }
}

fn ids(params: &Params, name: &str) -> Result<Vec<String>, ApiError> {
    let checked = |text: &str| match ResourceId::parse(text) {
        Some(id) => Ok(id.to_string()),
        None => Err(ApiError::bad_request(format!("`{name}` is written `type:name`, found `{text}`"))),
    };
    // The reference's clients write `action[]=…`, as PHP and jQuery do.
    params.all(name).chain(params.all(&format!("{name}[]"))).map(checked).collect()
}

fn filter(text: &str) -> Result<TopicFilter, ApiError> {
    TopicFilter::parse(text)
        .map_err(|error| ApiError::bad_request(format!("`match_from` must be a topic filter: {error}")))
}

/// `true` or `false`, as the reference spells them.
pub(crate) fn boolean(name: &str, text: &str) -> Result<bool, ApiError> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(ApiError::bad_request(format!("`{name}` must be `true` or `false`, found `{other}`"))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use engine::ManagedBy;

    use super::*;

    fn rule() -> RuleView {
        RuleView {
            runs: true,
            id: "heat".into(),
            name: String::new(),
            sql: String::new(),
            from: vec!["plant/+/temp".into(), "$bridges/mqtt:cloud-in".into()],
            actions: Vec::new(),
            action_details: vec![(ResourceId::new("mqtt", "uplink"), None)],
            enable: true,
            description: "Hot readings".into(),
            tags: Vec::new(),
            created_at: UNIX_EPOCH,
            last_modified_at: UNIX_EPOCH,
            managed_by: ManagedBy::Rest,
            errors: Vec::new(),
        }
    }

    #[test]
    fn pages_cover_the_list_without_overlap() {
        let page = |page, limit| Page { page, limit }.cut((0..5).collect::<Vec<_>>());
        assert_eq!(page(1, 2).0, [0, 1]);
        assert_eq!(page(3, 2), (vec![4], Meta { page: 3, limit: 2, count: 5, hasnext: false }));
        assert!(page(2, 2).1.hasnext && !page(1, 5).1.hasnext);
        assert!(page(usize::MAX, 10_000).0.is_empty());
    }

    #[test]
    fn bad_pages_are_refused() {
        for (name, text) in
            [("page", "0"), ("page", "x"), ("limit", "0"), ("limit", "10001"), ("limit", "-1"), ("limit", "")]
        {
            assert!(Page::of(&Params::of(&[(name, text)])).is_err(), "{name}={text}");
        }
        let page = Page::of(&Params::of(&[("page", "2"), ("limit", "10000")])).unwrap();
        assert_eq!(page, Page { page: 2, limit: 10_000 });
    }

    #[test]
    fn filters_narrow_the_list() {
        for (pairs, expected) in [
            (&[][..], true),
            (&[("enable", "true"), ("like_id", "ea"), ("like_description", "Hot")], true),
            (&[("enable", "false")], false),
            (&[("like_id", "cold")], false),
            (&[("from", "plant/+/temp")], true),
            (&[("from", "plant")], false),
            (&[("like_from", "plant")], true),
            (&[("match_from", "plant/#")], true),
            (&[("match_from", "plant/+")], false),
            (&[("action", "mqtt:other"), ("action", "mqtt:uplink")], true),
            (&[("action", "mqtt:other")], false),
            (&[("source", "mqtt:cloud-in")], true),
            (&[("source", "mqtt:cloud")], false),
            (&[("ns", ""), ("only_global", "true")], true),
            (&[("ns", "tenant")], false),
        ] {
            let filter = RuleFilter::of(&Params::of(pairs)).unwrap();
            assert_eq!(filter.matches(&rule()), expected, "{pairs:?}");
        }
        for pair in [("enable", "yes"), ("match_from", "a/#/b"), ("action", "uplink"), ("source", "")] {
            assert!(RuleFilter::of(&Params::of(&[pair])).is_err(), "{pair:?}");
        }
    }
}
