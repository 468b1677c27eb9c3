//! Makes a torrent without writing it, and prints what it is and what it cost:
//! `cargo run --release -p make --example torrent -- PATH [v1|v2|hybrid] [PIECE_LENGTH]`.

use std::time::Instant;

use make::{Control, Format, Input, Options, Plan, make, parse_piece_length};

fn main() -> Result<(), make::Error> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| ".".to_owned()).into();
    let format = match arguments.next().as_deref() {
        Some("v2") => Format::V2,
        Some("hybrid") => Format::Hybrid,
        _ => Format::V1,
    };
    let piece_length = arguments.next().map(|text| parse_piece_length(&text)).transpose()?;
    let start = Instant::now();
    let control = Control::new();
    let plan = Plan::walk(&Input { path, include_hidden: true, ..Input::default() }, &control)?;
    let walked = start.elapsed();
    let made = make(plan, &Options { format, piece_length, ..Options::default() }, &control)?;
    let seconds = start.elapsed().as_secs_f64();
    println!("{}", made.magnet);
    println!("{} files, {} pieces of {}", made.files, made.pieces, made.piece_length);
    println!("walked in {walked:.3?}, all in {seconds:.3} s, {:.0} MB/s", made.total as f64 / seconds / 1e6);
    Ok(())
}
