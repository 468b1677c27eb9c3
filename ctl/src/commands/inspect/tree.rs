//! The files of a torrent as a tree.

use crate::render::{Output, Style, clean};
use proto::{metainfo::FileEntry, size::Size};
use std::collections::BTreeMap;

/// A folder, or a file with its length.
#[derive(Debug, Default)]
struct Node<'a> {
    children: BTreeMap<&'a str, Node<'a>>,
    bytes: u64,
    files: usize,
    marks: &'static str,
}

/// One line for each file and folder; padding is only counted.
pub(super) fn render(files: &[FileEntry], out: &Output) -> String {
    let mut root = Node::default();
    let (mut pads, mut pad_bytes) = (0, 0);
    for file in files {
        if file.pad {
            pads += 1;
            pad_bytes += file.length;
        } else {
            insert(&mut root, file);
        }
    }
    let mut text = String::new();
    for (name, node) in &root.children {
        line(name, node, "", "", out, &mut text);
        children(node, "", out, &mut text);
    }
    if pads > 0 {
        let noun = if pads == 1 { "stretch" } else { "stretches" };
        let padding = format!("and {pads} {noun} of padding, {} in all", Size(pad_bytes));
        text.push_str(&format!("{}\n", out.paint(Style::Dim, &padding)));
    }
    text
}

fn insert<'a>(root: &mut Node<'a>, file: &'a FileEntry) {
    let mut node = root;
    for name in &file.path {
        node = node.children.entry(name).or_default();
        node.bytes += file.length;
        node.files += 1;
    }
    node.marks = match (file.symlink, file.executable) {
        (true, _) => " (link)",
        (_, true) => " (executable)",
        _ => "",
    };
}

/// As deep as paths go, which the reader of torrents bounds to some three kilobytes each.
fn children(node: &Node<'_>, indent: &str, out: &Output, text: &mut String) {
    let mut rest = node.children.iter().peekable();
    while let Some((name, child)) = rest.next() {
        let (branch, below) =
            if rest.peek().is_some() { ("├── ", "│   ") } else { ("└── ", "    ") };
        line(name, child, indent, branch, out, text);
        children(child, &format!("{indent}{below}"), out, text);
    }
}

fn line(name: &str, node: &Node<'_>, indent: &str, branch: &str, out: &Output, text: &mut String) {
    let size = Size(node.bytes);
    let detail = match node.children.is_empty() {
        true => format!("  {size}{}", node.marks),
        false if node.files == 1 => format!("/  {size} in 1 file"),
        false => format!("/  {size} in {} files", node.files),
    };
    let branch = out.paint(Style::Dim, &format!("{indent}{branch}"));
    text.push_str(&format!("{branch}{}{}\n", clean(name), out.paint(Style::Dim, &detail)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Color;

    fn file(path: &str, length: u64) -> FileEntry {
        FileEntry { path: path.split('/').map(str::to_owned).collect(), length, ..FileEntry::default() }
    }

    #[test]
    fn folders_branch() {
        let pad = FileEntry { pad: true, ..file("x/.pad/5", 5) };
        let files = [file("set/a/one", 10), pad, file("set/a/two", 20), file("set/b", 1024)];
        assert_eq!(
            render(&files, &Output::new(false, Color::Never)),
            "set/  1.03 KiB in 3 files\n\
             ├── a/  30 B in 2 files\n\
             │   ├── one  10 B\n\
             │   └── two  20 B\n\
             └── b  1.00 KiB\n\
             and 1 stretch of padding, 5 B in all\n"
        );
    }
}
