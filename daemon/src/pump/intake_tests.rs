//! However a stream is cut into reads, and whatever the guess about its layout, the same messages and blocks come out.

use super::*;
use crate::storage::Pool;
use proptest::prelude::*;
use proto::wire::{LOCAL_IDS, encode, piece_head};

#[derive(Debug, Default, PartialEq)]
struct Seen {
    messages: Vec<Message>,
    blocks: Vec<(Block, Vec<u8>)>,
    lost: Vec<Block>,
    payload: usize,
}

impl Sink for Seen {
    fn message(&mut self, message: Message) {
        self.messages.push(message);
    }

    fn block(&mut self, block: Block, data: Buf) {
        self.blocks.push((block, data[..block.len as usize].to_vec()));
    }

    fn lost(&mut self, block: Block) {
        self.lost.push(block);
    }

    fn payload(&mut self, bytes: usize) {
        self.payload += bytes;
    }
}

#[derive(Clone, Debug)]
enum Part {
    Message(Message),
    Block(Block),
}

fn part() -> impl Strategy<Value = Part> {
    let block = (0u32..9, 0u32..4, prop_oneof![5 => Just(BLOCK), 1 => 1..BLOCK])
        .prop_map(|(piece, at, len)| Part::Block(Block { piece, begin: at * BLOCK, len }));
    let message = prop_oneof![
        Just(Message::KeepAlive),
        Just(Message::Unchoke),
        any::<u32>().prop_map(Message::Have),
        Just(Message::Request(Block { piece: 1, begin: 0, len: BLOCK })),
    ];
    prop_oneof![4 => block, 1 => message.prop_map(Part::Message)]
}

fn payload_of(block: Block) -> Vec<u8> {
    (0..block.len).map(|i| (i ^ block.piece ^ (block.begin >> 9)) as u8).collect()
}

fn wire(parts: &[Part]) -> (Vec<u8>, Seen) {
    let mut bytes = Vec::new();
    let mut seen = Seen::default();
    for part in parts {
        match part {
            Part::Message(message) => {
                encode(message, &LOCAL_IDS, &mut bytes);
                seen.messages.push(message.clone());
            }
            Part::Block(block) => {
                let data = payload_of(*block);
                bytes.extend(piece_head(*block));
                bytes.extend(&data);
                seen.payload += data.len();
                seen.blocks.push((*block, data));
            }
        }
    }
    (bytes, seen)
}

/// Copies as much of `bytes` as `most` and the slices allow, as the kernel does.
fn scatter(bytes: &mut &[u8], iov: &mut [IoSliceMut<'_>], most: usize) -> usize {
    let before = bytes.len();
    let mut room = most;
    for slice in iov {
        let take = slice.len().min(bytes.len()).min(room);
        slice[..take].copy_from_slice(&bytes[..take]);
        *bytes = &bytes[take..];
        room -= take;
    }
    before - bytes.len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_reads_give_the_same(
        parts in proptest::collection::vec(part(), 1..30),
        reads in proptest::collection::vec((0usize..6, 1usize..120_000), 1..50),
    ) {
        let (stream, expected) = wire(&parts);
        let mut rest = &stream[..];
        let mut spare = Spare::new(Pool::new(64 * BLOCK as usize));
        let mut intake = Intake::new(Limits::default(), LOCAL_IDS);
        let mut seen = Seen::default();
        for (run, most) in reads.into_iter().cycle() {
            if rest.is_empty() {
                break;
            }
            if run == 0 {
                let take = rest.len().min(most).min(5_000);
                intake.feed(&rest[..take], &mut spare, &mut seen).unwrap();
                rest = &rest[take..];
            } else {
                intake.read_blocks(run, &mut spare, &mut seen, |iov| Ok(scatter(&mut rest, iov, most))).unwrap();
            }
        }
        prop_assert_eq!(seen, expected);
    }
}

#[test]
fn without_a_free_buffer_a_block_is_skipped_and_told() {
    let block = Block { piece: 3, begin: 0, len: BLOCK };
    let (stream, _) = wire(&[Part::Block(block), Part::Message(Message::Choke)]);
    let pool = Pool::new(0);
    // A pool has one buffer at least.
    let _held = pool.take();
    let mut spare = Spare::new(pool);
    let mut intake = Intake::new(Limits::default(), LOCAL_IDS);
    let mut seen = Seen::default();
    intake.feed(&stream, &mut spare, &mut seen).unwrap();
    assert_eq!(seen.lost, [block]);
    assert_eq!(seen.messages, [Message::Choke]);
}
