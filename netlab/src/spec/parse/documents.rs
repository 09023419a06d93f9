//! Files to YAML documents to typed objects, each with its place.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use k8s_openapi::{Metadata, Resource, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    Located, Objects,
    error::{Place, Reason, SpecError},
    resolve::Refusals,
    unknown,
};

const KINDS: &[&str] = &["Node", "Pod", "Service", "EndpointSlice", "List"];

/// Reads manifests. A directory means all `*.yaml`, `*.yml` and `*.json` directly in it,
/// by name, without hidden ones.
///
/// # Errors
///
/// An unreadable file, broken YAML, an unknown kind or field, or a value of the wrong type.
pub fn read_files(paths: &[PathBuf]) -> Result<Objects, SpecError> {
    let mut objects = Objects::default();
    for path in paths {
        if path.is_dir() {
            objects.append(read_directory(path)?);
        } else {
            let text = fs::read_to_string(path).map_err(unreadable(path))?;
            objects.append(read_str(&path.display().to_string(), &text)?);
        }
    }
    Ok(objects)
}

/// Reads the manifests directly in a directory; none is fine. A file that goes away
/// while the directory is read counts as not there.
///
/// # Errors
///
/// As [`read_files`].
pub fn read_directory(directory: &Path) -> Result<Objects, SpecError> {
    let entries: Vec<_> =
        fs::read_dir(directory).and_then(Iterator::collect).map_err(unreadable(directory))?;
    let mut paths: Vec<_> =
        entries.iter().map(fs::DirEntry::path).filter(|path| is_manifest(path)).collect();
    paths.sort();
    let mut objects = Objects::default();
    for path in paths {
        match fs::read_to_string(&path) {
            Ok(text) => objects.append(read_str(&path.display().to_string(), &text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {}
            Err(error) => return Err(unreadable(&path)(error)),
        }
    }
    Ok(objects)
}

/// Reads manifests from `text`; `origin` stands for the file in error messages.
///
/// # Errors
///
/// As [`read_files`].
pub fn read_str(origin: &str, text: &str) -> Result<Objects, SpecError> {
    read_with(origin, text, &mut Refusals::first())
}

/// As [`read_str`]; what becomes of objects that are refused is for `refusals` to say.
pub(super) fn read_with(
    origin: &str,
    text: &str,
    refusals: &mut Refusals,
) -> Result<Objects, SpecError> {
    let mut objects = Objects::default();
    for (index, value) in documents(origin, text)?.into_iter().enumerate() {
        let document = Document { file: origin, number: index + 1 };
        document.read(value, &mut objects, refusals)?;
    }
    Ok(objects)
}

/// Whether a directory's entry is a manifest, and not an editor's temporary file.
pub(crate) fn is_manifest(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    let extension = path.extension().and_then(|extension| extension.to_str());
    !hidden && matches!(extension, Some("yaml" | "yml" | "json"))
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> SpecError {
    move |cause| SpecError::Unreadable { path: path.to_owned(), cause }
}

/// The documents that have content.
fn documents(file: &str, text: &str) -> Result<Vec<Value>, SpecError> {
    // YAML includes JSON, but the JSON parser is ten times as fast, and large
    // clusters are dumped as JSON. Flow-style YAML also starts with a brace.
    if text.trim_start().starts_with('{')
        && let Ok(value) = serde_json::from_str(text)
    {
        return Ok(vec![value]);
    }
    // The defaults guard servers against hostile input; here 10,000 Services are usual.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: 1_000_000,
            max_nodes: 100_000_000,
            max_events: 200_000_000,
            max_total_scalar_bytes: 1 << 30,
        },
        with_snippet: false,
    };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| SpecError::Syntax {
        file: file.to_owned(),
        line: error.location().map_or(0, |location| location.line()),
        message: error.without_snippet().to_string(),
    })
}

#[derive(Clone, Copy)]
struct Document<'a> {
    file: &'a str,
    number: usize,
}

impl Document<'_> {
    fn read(
        self,
        value: Value,
        objects: &mut Objects,
        refusals: &mut Refusals,
    ) -> Result<(), SpecError> {
        match value["kind"].as_str() {
            Some("Node") => objects.nodes.extend(self.typed(&value, refusals)?),
            Some("Pod") => objects.pods.extend(self.typed(&value, refusals)?),
            Some("Service") => objects.services.extend(self.typed(&value, refusals)?),
            Some("EndpointSlice") => objects.slices.extend(self.typed(&value, refusals)?),
            Some("List") => self.items(value, None, objects, refusals)?,
            Some(list @ ("NodeList" | "PodList" | "ServiceList" | "EndpointSliceList")) => {
                let kind = list.trim_end_matches("List").to_owned();
                self.items(value, Some(&kind), objects, refusals)?;
            }
            Some(_) if refusals.are_left_out() => {}
            Some(other) => {
                let reason = Reason::NotOneOf { found: other.to_owned(), accepted: KINDS };
                return Err(SpecError::object(&self.place(&value), "kind", reason));
            }
            None => {
                let error = SpecError::object(&self.place(&value), "kind", Reason::NotAnObject);
                refusals.pass(Err::<(), _>(error))?;
            }
        }
        Ok(())
    }

    /// Items of a list. Those of a typed list (`PodList`) need not repeat their kind.
    fn items(
        self,
        mut list: Value,
        kind: Option<&str>,
        objects: &mut Objects,
        refusals: &mut Refusals,
    ) -> Result<(), SpecError> {
        let items = match list["items"].take() {
            Value::Array(items) => items,
            Value::Null => Vec::new(),
            other => {
                let error = serde_json::from_value::<Vec<Value>>(other).expect_err("no array");
                let place = self.place(&list);
                return Err(SpecError::object(&place, "items", Reason::Malformed(error)));
            }
        };
        for mut item in items {
            if let (Some(kind), Some(fields)) = (kind, item.as_object_mut()) {
                fields.entry("kind").or_insert_with(|| kind.into());
                fields.entry("apiVersion").or_insert_with(|| list["apiVersion"].clone());
            }
            self.read(item, objects, refusals)?;
        }
        Ok(())
    }

    fn typed<T>(
        self,
        value: &Value,
        refusals: &mut Refusals,
    ) -> Result<Option<Located<T>>, SpecError>
    where
        T: Resource + Metadata<Ty = ObjectMeta> + DeserializeOwned + Serialize,
    {
        // An API server that is newer than netlab has fields that netlab does not know.
        let is_strict = !refusals.are_left_out();
        refusals.pass(self.object(value, is_strict))
    }

    fn object<T>(self, value: &Value, is_strict: bool) -> Result<Located<T>, SpecError>
    where
        T: Resource + Metadata<Ty = ObjectMeta> + DeserializeOwned + Serialize,
    {
        let place = self.place(value);
        let refuse = |field: &str, reason| Err(SpecError::object(&place, field, reason));
        match value["apiVersion"].as_str() {
            Some(version) if version == T::API_VERSION => {}
            Some(other) => {
                let accepted = const { &[T::API_VERSION] };
                let found = other.to_owned();
                return refuse("apiVersion", Reason::NotOneOf { found, accepted });
            }
            None => return refuse("apiVersion", Reason::Missing),
        }
        let object: T = match serde_path_to_error::deserialize(value) {
            Ok(object) => object,
            Err(error) => {
                let path = error.path().to_string();
                return refuse(&path, Reason::Malformed(error.into_inner()));
            }
        };
        let understood = match serde_json::to_value(&object) {
            Ok(understood) => understood,
            Err(error) => return refuse(".", Reason::Malformed(error)),
        };
        if is_strict && let Some(path) = unknown::first_lost(value, &understood) {
            let suggestion = unknown::suggestion(&path);
            return refuse(&path, Reason::UnknownField { suggestion });
        }
        if object.metadata().name.as_deref().unwrap_or_default().is_empty() {
            return refuse("metadata.name", Reason::Missing);
        }
        Ok(Located { place, object })
    }

    fn place(self, value: &Value) -> Place {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let kind = text(&value["kind"]).unwrap_or_else(|| "object without a kind".to_owned());
        let namespace = text(&value["metadata"]["namespace"]);
        let object = match (text(&value["metadata"]["name"]), namespace) {
            (None, _) => kind,
            (Some(name), _) if kind == "Node" => format!("{kind} {name}"),
            (Some(name), namespace) => {
                format!("{kind} {}/{name}", namespace.as_deref().unwrap_or("default"))
            }
        };
        Place { file: self.file.to_owned(), document: self.number, object }
    }
}
