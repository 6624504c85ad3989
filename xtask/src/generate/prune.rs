//! Leaving out of a descriptor set what no root needs.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use prost_types::{DescriptorProto, FileDescriptorProto, FileDescriptorSet};

/// The messages, enums and services of the root files, and the messages and enums these reach.
///
/// A nested type is kept with the whole outermost message it is in. Marks of deprecation are dropped: Istio sends
/// deprecated fields, and the code that handles them is not to be warned about.
pub(super) fn reachable_from(all: &FileDescriptorSet, roots: &[&str]) -> Result<FileDescriptorSet> {
    let outermost = OutermostTypes::of(all);
    let mut kept = BTreeSet::new();
    let mut pending = root_types(all, roots)?;
    while let Some(name) = pending.pop() {
        if kept.insert(name.clone()) {
            pending.extend(outermost.used_by(&name));
        }
    }
    let file = all.file.iter().filter_map(|file| trim(file, &kept, roots)).collect();
    Ok(FileDescriptorSet { file })
}

/// The types the root files define and their services use.
fn root_types(all: &FileDescriptorSet, roots: &[&str]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for root in roots {
        let Some(file) = all.file.iter().find(|file| file.name() == *root) else {
            bail!("no definition is called {root}");
        };
        names.extend(file.message_type.iter().map(|message| full_name(file, message.name())));
        names.extend(file.enum_type.iter().map(|enumeration| full_name(file, enumeration.name())));
        for method in file.service.iter().flat_map(|service| &service.method) {
            names.extend([method.input_type().to_owned(), method.output_type().to_owned()]);
        }
    }
    Ok(names)
}

/// The file with only the kept types; nothing if none is left.
fn trim(file: &FileDescriptorProto, kept: &BTreeSet<String>, roots: &[&str]) -> Option<FileDescriptorProto> {
    let mut file = file.clone();
    let package = file.package().to_owned();
    let is_kept = |name: &str| kept.contains(&format!(".{package}.{name}"));
    file.message_type.retain(|message| is_kept(message.name()));
    file.enum_type.retain(|enumeration| is_kept(enumeration.name()));
    file.extension.clear();
    if !roots.contains(&file.name()) {
        file.service.clear();
    }
    // What is left refers to types by full name; an import of a file that was left out would dangle.
    file.dependency.clear();
    file.public_dependency.clear();
    file.message_type.iter_mut().for_each(forget_deprecation);
    let empty = file.message_type.is_empty() && file.enum_type.is_empty() && file.service.is_empty();
    (!empty).then_some(file)
}

fn forget_deprecation(message: &mut DescriptorProto) {
    message.options = message.options.take().map(|options| prost_types::MessageOptions { deprecated: None, ..options });
    for field in &mut message.field {
        field.options = field.options.take().map(|options| prost_types::FieldOptions { deprecated: None, ..options });
    }
    message.nested_type.iter_mut().for_each(forget_deprecation);
}

/// What each outermost type of a descriptor set uses, by full name (with a leading dot).
struct OutermostTypes {
    used: BTreeMap<String, BTreeSet<String>>,
}

impl OutermostTypes {
    fn of(all: &FileDescriptorSet) -> Self {
        let mut used = BTreeMap::new();
        for file in &all.file {
            for message in &file.message_type {
                let mut names = BTreeSet::new();
                collect_used(message, &mut names);
                used.insert(full_name(file, message.name()), names);
            }
            for enumeration in &file.enum_type {
                used.insert(full_name(file, enumeration.name()), BTreeSet::new());
            }
        }
        Self { used }
    }

    fn used_by(&self, outermost: &str) -> Vec<String> {
        let names = self.used.get(outermost).into_iter().flatten();
        names.filter_map(|name| self.outermost_of(name)).collect()
    }

    fn outermost_of(&self, name: &str) -> Option<String> {
        let ends = name.match_indices('.').map(|(end, _)| end).skip(1).chain([name.len()]);
        ends.map(|end| &name[..end]).find(|prefix| self.used.contains_key(*prefix)).map(str::to_owned)
    }
}

fn collect_used(message: &DescriptorProto, names: &mut BTreeSet<String>) {
    names.extend(message.field.iter().filter_map(|field| field.type_name.clone()));
    for nested in &message.nested_type {
        collect_used(nested, names);
    }
}

fn full_name(file: &FileDescriptorProto, name: &str) -> String {
    format!(".{}.{name}", file.package())
}
