//! Captures in object stores and on web servers, read by ranges. Built with feature `remote`.
//!
//! Owns how bytes are fetched, and the time limits. The checks are those of files: a sparse file with the length of the
//! object stands in for it, and the ranges that are needed are written into it.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::client::{HttpError, HttpErrorKind};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::path::Path as Key;
use object_store::{
    ClientConfigKey, Error, GetOptions, GetRange, ObjectMeta, ObjectStore, RetryConfig, coalesce_ranges,
};
use tokio::runtime::Runtime;
use url::Url;

use crate::schema::limits::{Limits, MAX_REMOTE_COLUMN};
use crate::schema::reader::Capture;

/// Time for a connection, and for the whole of one request of at most [`PART`] bytes.
const CLIENT: [(ClientConfigKey, &str); 2] =
    [(ClientConfigKey::ConnectTimeout, "10 seconds"), (ClientConfigKey::Timeout, "60 seconds")];
/// Tries after the first of a request, and the time from which on there is none.
const RETRIES: (usize, Duration) = (3, Duration::from_secs(60));
/// Bytes asked for in one request.
const PART: u64 = 16 << 20;
/// Bytes between two ranges that are rather read than asked around.
const GAP: u64 = 256 << 10;

/// Stores by scheme and host, and the threads that talk to them: a busy engine does not keep answers waiting.
static STORES: LazyLock<Mutex<HashMap<String, Arc<dyn ObjectStore>>>> = LazyLock::new(Mutex::default);
static RUNTIME: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("vmtrace-remote").enable_all().build()
});

/// A capture that lies elsewhere.
#[derive(Debug)]
pub struct Remote {
    name: String,
    store: Arc<dyn ObjectStore>,
    key: Key,
    size: u64,
    /// What it is known by as long as it does not change, where the server says.
    tag: Option<String>,
}

/// The captures that the URL `word` names: itself, those below it where it ends in `/`, or those that its pattern matches.
///
/// # Errors
/// A URL that is none, a store that cannot be asked, no captures there.
pub fn find(word: &str, most: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    let url = parse(word)?;
    let name = shown(&url);
    let pattern = glob::Pattern::new(&Url::path(&url).replace("%5B", "[").replace("%5D", "]"));
    let patterned = word.split('?').next().is_some_and(|path| path.contains('*'));
    if !patterned && !url.path().ends_with('/') && !url.path().is_empty() {
        found.push(PathBuf::from(word));
        return Ok(());
    }
    ensure!(!is_web(&url), "{name}: a web server has no list of captures: name them one by one");
    let pattern = pattern.with_context(|| format!("{name} is no pattern"))?;
    let store = store(&url)?;
    // A pattern is searched below the last directory that it names.
    let start = url.path().split('*').next().unwrap_or_default();
    let start = start.rsplit_once('/').map_or("", |(directory, _)| directory);
    let prefix = Key::from_url_path(start).with_context(|| format!("{name} is not a place in a store"))?;
    // Not every object need be a capture.
    let objects = most.saturating_mul(4);
    let listed = async move {
        let mut listing = store.list(Some(&prefix));
        let mut keys = Vec::new();
        while let Some(object) = listing.try_next().await? {
            keys.push(object.location.to_string());
            if keys.len() > objects {
                break;
            }
        }
        Ok::<_, Error>(keys)
    };
    let mut keys = wait(listed)?.map_err(|error| anyhow!(described(&name, &error)))?;
    ensure!(keys.len() <= objects, "{name} has more than {objects} objects: name a part of it");
    let options = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::new() };
    let wanted = |key: &String| {
        key.ends_with(".parquet")
            && !key.split('/').any(|part| part.starts_with('.'))
            && (!patterned || pattern.matches_with(&format!("/{key}"), options))
    };
    keys.retain(wanted);
    keys.sort();
    ensure!(!keys.is_empty(), "{name} holds no captures: no *.parquet in it");
    for key in keys {
        let mut of = url.clone();
        of.set_path(&key);
        found.push(PathBuf::from(of.as_str()));
    }
    Ok(())
}

/// Reads as much of the capture at the URL `path` as its check needs.
///
/// # Errors
/// One sentence naming the URL: what the server answers, or what the file is.
pub fn open(path: &Path, limits: Limits) -> Result<(String, Capture, Option<Arc<Remote>>)> {
    let url = parse(&path.to_string_lossy())?;
    let name = shown(&url);
    let store = store(&url)?;
    let key = Key::from_url_path(url.path()).with_context(|| format!("{name} names no object"))?;
    let begin = wait(begin(Arc::clone(&store), key.clone()))?.map_err(|error| anyhow!(described(&name, &error)))?;
    let begin = begin.with_context(|| format!("{name} is empty: not a capture"))?;
    let size = begin.size;
    let tag = begin.e_tag.filter(|tag| !tag.starts_with("W/"));
    let remote = Arc::new(Remote { name: name.clone(), store, key, size, tag });
    let file = tempfile::tempfile().context("cannot make a temporary file")?;
    file.set_len(size).with_context(|| format!("{name} claims {size} bytes, more than a file here can have"))?;
    let capture = Capture::fetched(Path::new(&name), file, size, limits, &|file, range| remote.fill(file, range))?;
    Ok((name, capture, Some(remote)))
}

/// What the server sends with the first bytes of an object; `None`: it has none.
async fn begin(store: Arc<dyn ObjectStore>, key: Key) -> Result<Option<ObjectMeta>, Error> {
    let options = GetOptions { range: Some(GetRange::Bounded(0..4)), ..GetOptions::default() };
    match store.get_opts(&key, options).await {
        Ok(begin) => Ok(Some(begin.meta)),
        // A server refuses every range of an object without bytes, or sends it whole.
        Err(error @ (Error::Generic { .. } | Error::NotSupported { .. })) if unanswered(&error).is_none() => {
            let options = GetOptions { head: true, ..GetOptions::default() };
            let head = store.get_opts(&key, options).await;
            if head.is_ok_and(|head| head.meta.size == 0) { Ok(None) } else { Err(error) }
        }
        Err(error) => Err(error),
    }
}

impl Remote {
    /// The bytes of `ranges`.
    ///
    /// # Errors
    /// One sentence naming the URL.
    pub async fn read(self: &Arc<Self>, ranges: Vec<Range<u64>>) -> Result<Vec<Bytes>> {
        for range in &ranges {
            check_range(range, self.size).map_err(|error| anyhow!("{}: {error}", self.name))?;
        }
        let this = Arc::clone(self);
        let reading = async move {
            let bytes = coalesce_ranges(&ranges, |range| this.range(range), GAP).await?;
            let whole = bytes.iter().zip(&ranges).all(|(bytes, range)| bytes.len() as u64 == range.end - range.start);
            ensure!(whole, "{}: the server sent fewer bytes than requested", this.name);
            Ok(bytes)
        };
        runtime()?.spawn(reading).await?
    }

    async fn range(&self, range: Range<u64>) -> Result<Bytes> {
        let mut bytes = BytesMut::new();
        let mut at = range.start;
        while at < range.end {
            let end = at.saturating_add(PART).min(range.end);
            let options = GetOptions {
                range: Some(GetRange::Bounded(at..end)),
                if_match: self.tag.clone(),
                ..GetOptions::default()
            };
            let part = async { self.store.get_opts(&self.key, options).await?.bytes().await };
            let part = part.await.map_err(|error| anyhow!(described(&self.name, &error)))?;
            ensure!(part.len() as u64 == end - at, "{}: the server sent other bytes than requested", self.name);
            if at == range.start && end == range.end {
                return Ok(part);
            }
            bytes.extend_from_slice(&part);
            at = end;
        }
        Ok(bytes.freeze())
    }

    /// Puts the bytes of `range` in their place in `file`. Not to be called from the engine's tasks.
    ///
    /// # Errors
    /// As of [`Remote::read`].
    pub fn fill(self: &Arc<Self>, file: &File, range: Range<u64>) -> Result<()> {
        let this = Arc::clone(self);
        let asked = range.clone();
        let bytes = wait(async move { this.read(vec![asked]).await })??;
        for part in bytes {
            file.write_all_at(&part, range.start).context("cannot write a temporary file")?;
        }
        Ok(())
    }
}

fn runtime() -> Result<&'static Runtime> {
    RUNTIME.as_ref().map_err(|error| anyhow!("cannot start a thread: {error}"))
}

/// What `work` comes to, on the threads for it.
fn wait<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T> {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    runtime()?.spawn(async move { sender.send(work.await) });
    receiver.recv().context("a thread ended early")
}

fn parse(word: &str) -> Result<Url> {
    Url::parse(word).with_context(|| format!("{word} is no URL"))
}

fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

/// The URL without what may be secret in it: a password, a signature.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Some URLs cannot have credentials.
    let _ = url.set_password(None);
    let _ = url.set_username("");
    url.to_string()
}

/// The store that `url` lies in, with the credentials that the environment has for it.
fn store(url: &Url) -> Result<Arc<dyn ObjectStore>> {
    let mut root = url.clone();
    root.set_path("");
    root.set_fragment(None);
    let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(store) = stores.get(root.as_str()) {
        return Ok(Arc::clone(store));
    }
    let store = build(&root).map_err(|error| anyhow!("{}: {}", shown(&root), clean(&error.to_string())))?;
    stores.insert(root.to_string(), Arc::clone(&store));
    Ok(store)
}

fn build(root: &Url) -> Result<Arc<dyn ObjectStore>> {
    let retry = RetryConfig { max_retries: RETRIES.0, retry_timeout: RETRIES.1, ..RetryConfig::default() };
    Ok(match root.scheme() {
        "s3" => {
            let mut builder = AmazonS3Builder::from_env().with_url(root.as_str()).with_retry(retry);
            for (key, value) in CLIENT {
                builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
            }
            let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
            // The user chose this endpoint.
            let plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
            Arc::new(if plain { builder.with_allow_http(true) } else { builder }.build()?)
        }
        "gs" => {
            let mut builder = GoogleCloudStorageBuilder::from_env().with_url(root.as_str()).with_retry(retry);
            for (key, value) in CLIENT {
                builder = builder.with_config(GoogleConfigKey::Client(key), value);
            }
            Arc::new(builder.build()?)
        }
        "az" => {
            let mut builder = MicrosoftAzureBuilder::from_env().with_url(root.as_str()).with_retry(retry);
            for (key, value) in CLIENT {
                builder = builder.with_config(AzureConfigKey::Client(key), value);
            }
            Arc::new(builder.build()?)
        }
        "http" | "https" => {
            let mut builder = HttpBuilder::new().with_url(root.as_str()).with_retry(retry);
            for (key, value) in CLIENT {
                builder = builder.with_config(key, value);
            }
            Arc::new(builder.with_config(ClientConfigKey::AllowHttp, "true").build()?)
        }
        other => bail!("{other} is not a known store: use s3, gs, az, http or https"),
    })
}

/// The error in one sentence with the remedy.
fn described(name: &str, error: &Error) -> String {
    let cause = clean(&cause(error));
    match (error, unanswered(error)) {
        (Error::NotFound { .. }, _) => format!("{name} is not there (404): check the name"),
        (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }, _) => {
            format!(
                "{name}: the server refuses access: check the credentials in the environment (AWS_*, GOOGLE_*, AZURE_*)"
            )
        }
        (Error::Precondition { .. }, _) => format!("{name} was changed while it was read: run the query again"),
        (Error::NotSupported { .. }, _) => {
            format!("{name}: the server does not answer requests for parts of a file: copy the capture here first")
        }
        (_, Some(HttpErrorKind::Timeout)) => {
            format!("{name}: no answer in time: check the server and the network ({cause})")
        }
        (_, Some(HttpErrorKind::Connect)) => {
            format!("{name}: no connection: check the server's name and the network ({cause})")
        }
        _ => format!("cannot read {name}: {cause}"),
    }
}

/// What happened to a request that no complete answer came to.
fn unanswered(error: &Error) -> Option<HttpErrorKind> {
    causes(error).find_map(|cause| cause.downcast_ref::<HttpError>()).map(HttpError::kind)
}

/// The words of the first cause alone: those around it repeat it, and contain the URL with the secrets in it.
fn cause(error: &Error) -> String {
    causes(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

/// What led to an error, the last cause first.
fn causes(error: &Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(std::error::Error::source(error), |cause| cause.source())
}

/// A server's words on one line of bounded length.
fn clean(text: &str) -> String {
    text.chars().take(400).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Whether bytes are in a file of `size`, and no more than a column has.
fn check_range(range: &Range<u64>, size: u64) -> Result<()> {
    let length = range.end.checked_sub(range.start).filter(|_| range.end <= size);
    let length = length.context("bytes outside the file are named")?;
    ensure!(length <= MAX_REMOTE_COLUMN, "a column claims {length} bytes: not a capture");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_a_url_are_not_shown() {
        let url = Url::parse("https://me:word@host/a/b.parquet?X-Amz-Signature=1#x").unwrap();
        assert_eq!(shown(&url), "https://host/a/b.parquet");
    }

    #[test]
    fn a_web_server_is_not_listed() {
        let mut found = Vec::new();
        let error = find("http://127.0.0.1:1/captures/", 1, &mut found).unwrap_err();
        assert!(error.to_string().contains("name them one by one"), "{error}");
        find("s3://bucket/a.parquet", 1, &mut found).unwrap();
        assert_eq!(found, [PathBuf::from("s3://bucket/a.parquet")]);
    }

    #[test]
    fn a_column_elsewhere_is_as_large_as_it_may_be() {
        let size = 2 * MAX_REMOTE_COLUMN;
        assert!(check_range(&(7..7 + MAX_REMOTE_COLUMN), size).is_ok());
        let said = check_range(&(7..8 + MAX_REMOTE_COLUMN), size).unwrap_err().to_string();
        assert_eq!(said, "a column claims 1073741825 bytes: not a capture");
        assert!(check_range(&(size - 1..size), size).is_ok() && check_range(&(size..size + 1), size).is_err());
    }
}
