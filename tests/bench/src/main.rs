//! Figures of btd beside other clients, on the same work in the same run.

fn main() {}
