//! Target names: what a person types to name a producer.

use std::{fmt, str::FromStr};

/// Longest path of an `ipc://` endpoint in bytes (`sun_path` without its NUL).
pub const IPC_PATH_MAX: usize = 107;

/// URI scheme of a target, without `://`.
pub const SCHEME: &str = "cvmmap";
/// Namespace of a target that names none.
pub const DEFAULT_NAMESPACE: &str = "cvmmap";
/// Directory of the frame-sync sockets of a target that names none.
pub const DEFAULT_PREFIX: &str = "/tmp";
/// Longest instance name in bytes: a sync label holds 24 bytes with its NUL.
pub const INSTANCE_MAX: usize = 23;
/// Longest namespace in bytes.
pub const NAMESPACE_MAX: usize = 32;

/// A producer by name: `cam0` or `cvmmap://cam0@/run/cvmmap?namespace=zed`.
///
/// Source: cv-mmap IPC contract, section 1.
///
/// ```
/// let target: cvmmap::Target = "cvmmap://cam0@/run/cams?namespace=zed".parse()?;
/// assert_eq!(target.shm_name(), "zed_cam0");
/// assert_eq!(target.zmq_endpoint(), "ipc:///run/cams/zed_cam0");
/// # Ok::<(), cvmmap::TargetError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    instance: String,
    namespace: String,
    prefix: String,
}

/// Why a target name is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// A plain name holds a URI delimiter.
    #[error("'{0}': plain cvmmap instance names hold no '@', '?' or '/'; write cvmmap://NAME@/PREFIX?namespace=NS")]
    PlainDelimiter(String),
    /// Another scheme than `cvmmap`.
    #[error("'{0}' is not a cvmmap:// URI")]
    Scheme(String),
    /// Not an instance name.
    #[error("instance name '{0}' must be 1 to 23 of [A-Za-z0-9._-] and start with a letter or a digit")]
    Instance(String),
    /// Not a namespace.
    #[error("namespace '{0}' must be 1 to 32 of [A-Za-z0-9._-] and start with a letter or a digit")]
    Namespace(String),
    /// `namespace=` without a value.
    #[error("the namespace is empty; leave ?namespace= out for the default")]
    EmptyNamespace,
    /// More than one `@`.
    #[error("'{0}' holds more than one '@'")]
    ManyAt(String),
    /// `@` without a prefix.
    #[error("the prefix after '@' is empty; leave '@' out for the default")]
    EmptyPrefix,
    /// The prefix does not start with `/`.
    #[error("prefix '{0}' must be an absolute path")]
    RelativePrefix(String),
    /// The prefix holds a backslash, a NUL, or an empty, `.` or `..` segment.
    #[error("prefix '{0}' must hold no '\\', no NUL and no empty, '.' or '..' segment")]
    PrefixSegment(String),
    /// `?` without anything behind it.
    #[error("the query after '?' is empty; leave '?' out")]
    EmptyQuery,
    /// `a&&b`.
    #[error("the query '{0}' holds an empty part")]
    EmptyQueryPart(String),
    /// A query part without `=`.
    #[error("query part '{0}' is not KEY=VALUE")]
    QueryPart(String),
    /// A key other than `namespace`.
    #[error("query key '{0}' is not known; only 'namespace' is")]
    QueryKey(String),
    /// The same key twice.
    #[error("query key '{0}' is given twice")]
    RepeatedKey(String),
    /// The socket path does not fit a Unix socket address.
    #[error("socket path '{0}' is longer than 107 bytes; take a shorter prefix")]
    PathTooLong(String),
}

impl Target {
    /// The target of these parts; `None` is the default.
    ///
    /// # Errors
    /// When a part breaks the rules of the contract.
    pub fn new(instance: &str, namespace: Option<&str>, prefix: Option<&str>) -> Result<Self, TargetError> {
        if !is_name(instance, INSTANCE_MAX) {
            return Err(TargetError::Instance(instance.to_owned()));
        }
        let namespace = namespace.unwrap_or(DEFAULT_NAMESPACE);
        if namespace.is_empty() {
            return Err(TargetError::EmptyNamespace);
        }
        if !is_name(namespace, NAMESPACE_MAX) {
            return Err(TargetError::Namespace(namespace.to_owned()));
        }
        let target = Self {
            instance: instance.to_owned(),
            namespace: namespace.to_owned(),
            prefix: checked_prefix(prefix.unwrap_or(DEFAULT_PREFIX))?,
        };
        let path = target.socket_path();
        if path.len() > IPC_PATH_MAX {
            return Err(TargetError::PathTooLong(path));
        }
        Ok(target)
    }

    /// Instance name, also the label of its sync messages.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Directory of the frame-sync socket, absolute.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// `<namespace>_<instance>`.
    pub fn base_name(&self) -> String {
        format!("{}_{}", self.namespace, self.instance)
    }

    /// POSIX shared memory name, without a leading `/`.
    pub fn shm_name(&self) -> String {
        self.base_name()
    }

    /// Frame-sync endpoint as ZeroMQ takes it.
    pub fn zmq_endpoint(&self) -> String {
        format!("ipc://{}", self.socket_path())
    }

    /// Key in NATS subjects: the base name with `_` for `.`.
    pub fn nats_target_key(&self) -> String {
        self.base_name().replace('.', "_")
    }

    fn socket_path(&self) -> String {
        let separator = if self.prefix == "/" { "" } else { "/" };
        format!("{}{separator}{}", self.prefix, self.base_name())
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(rest) = text.strip_prefix("cvmmap://") else {
            return match text {
                _ if text.contains("://") => Err(TargetError::Scheme(text.to_owned())),
                _ if text.contains(['@', '?', '/']) => Err(TargetError::PlainDelimiter(text.to_owned())),
                _ => Self::new(text, None, None),
            };
        };
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let (instance, prefix) = match path.split_once('@') {
            Some((_, prefix)) if prefix.contains('@') => {
                return Err(TargetError::ManyAt(text.to_owned()));
            }
            Some((_, "")) => return Err(TargetError::EmptyPrefix),
            Some((instance, prefix)) => (instance, Some(prefix)),
            None => (path, None),
        };
        let namespace = query.map(namespace_of).transpose()?;
        Self::new(instance, namespace, prefix)
    }
}

/// The shortest URI that names the target.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}://{}", self.instance)?;
        if self.prefix != DEFAULT_PREFIX {
            write!(f, "@{}", self.prefix)?;
        }
        if self.namespace != DEFAULT_NAMESPACE {
            write!(f, "?namespace={}", self.namespace)?;
        }
        Ok(())
    }
}

fn namespace_of(query: &str) -> Result<&str, TargetError> {
    if query.is_empty() {
        return Err(TargetError::EmptyQuery);
    }
    let mut namespace = None;
    for part in query.split('&') {
        if part.is_empty() {
            return Err(TargetError::EmptyQueryPart(query.to_owned()));
        }
        match part.split_once('=') {
            None => return Err(TargetError::QueryPart(part.to_owned())),
            Some(("namespace", "")) => return Err(TargetError::EmptyNamespace),
            Some(("namespace", value)) => {
                if namespace.replace(value).is_some() {
                    return Err(TargetError::RepeatedKey("namespace".to_owned()));
                }
            }
            Some((key, _)) => return Err(TargetError::QueryKey(key.to_owned())),
        }
    }
    namespace.ok_or(TargetError::EmptyQuery)
}

fn checked_prefix(prefix: &str) -> Result<String, TargetError> {
    if prefix.is_empty() {
        return Err(TargetError::EmptyPrefix);
    }
    let Some(relative) = prefix.strip_prefix('/') else {
        return Err(TargetError::RelativePrefix(prefix.to_owned()));
    };
    if relative.is_empty() {
        return Ok("/".to_owned());
    }
    let relative = relative.strip_suffix('/').unwrap_or(relative);
    let sound =
        !relative.contains(['\\', '\0']) && relative.split('/').all(|segment| !matches!(segment, "" | "." | ".."));
    if !sound {
        return Err(TargetError::PrefixSegment(prefix.to_owned()));
    }
    Ok(format!("/{relative}"))
}

/// `[A-Za-z0-9][A-Za-z0-9._-]{0,max-1}`.
fn is_name(name: &str, max: usize) -> bool {
    name.len() <= max
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> TargetError {
        text.parse::<Target>().unwrap_err()
    }

    #[test]
    fn every_rule_has_its_own_message() {
        use TargetError::*;
        let long = "x".repeat(24);
        let deep = format!("cvmmap://cam0@/{}", "d".repeat(100));
        assert_eq!(refused(""), Instance(String::new()));
        assert_eq!(refused("-cam"), Instance("-cam".into()));
        assert_eq!(refused(&long), Instance(long.clone()));
        assert_eq!(refused("cam@/tmp"), PlainDelimiter("cam@/tmp".into()));
        assert_eq!(refused("http://cam"), Scheme("http://cam".into()));
        assert_eq!(refused("cvmmap://c@/a@/b"), ManyAt("cvmmap://c@/a@/b".into()));
        assert_eq!(refused("cvmmap://c@"), EmptyPrefix);
        assert_eq!(refused("cvmmap://c@tmp"), RelativePrefix("tmp".into()));
        for prefix in ["/a//b", "/a/../b", "/./a", "/a\\b", "//"] {
            assert_eq!(refused(&format!("cvmmap://c@{prefix}")), PrefixSegment(prefix.into()));
        }
        assert_eq!(refused("cvmmap://c?"), EmptyQuery);
        assert_eq!(refused("cvmmap://c?namespace=a&&namespace=b"), EmptyQueryPart("namespace=a&&namespace=b".into()));
        assert_eq!(refused("cvmmap://c?namespace"), QueryPart("namespace".into()));
        assert_eq!(refused("cvmmap://c?name=a"), QueryKey("name".into()));
        assert_eq!(refused("cvmmap://c?namespace="), EmptyNamespace);
        assert_eq!(refused("cvmmap://c?namespace=_a"), Namespace("_a".into()));
        assert_eq!(refused("cvmmap://c?namespace=a&namespace=b"), RepeatedKey("namespace".into()));
        assert!(matches!(refused(&deep), PathTooLong(_)));
    }

    #[test]
    fn one_trailing_slash_of_the_prefix_is_dropped() {
        let target: Target = "cvmmap://cam0@/run/cams/".parse().unwrap();
        assert_eq!(target.prefix(), "/run/cams");
        assert_eq!("cvmmap://c@/".parse::<Target>().unwrap().zmq_endpoint(), "ipc:///cvmmap_c");
    }

    #[test]
    fn dots_become_underscores_in_the_nats_key_alone() {
        let target: Target = "cam.0".parse().unwrap();
        assert_eq!(target.nats_target_key(), "cvmmap_cam_0");
        assert_eq!(target.shm_name(), "cvmmap_cam.0");
    }

    #[test]
    fn the_displayed_uri_parses_back() {
        for text in ["cvmmap://cam0", "cvmmap://cam0@/run/cams", "cvmmap://c@/r?namespace=zed"] {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.to_string(), text);
        }
    }
}
