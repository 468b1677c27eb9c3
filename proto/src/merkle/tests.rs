use super::*;
use proptest::prelude::*;

fn leaves(count: u8) -> Vec<Hash> {
    (1..=count).map(|n| [n; 32]).collect()
}

#[test]
fn missing_leaves_are_zeros() {
    let (a, b, c, zero) = ([1; 32], [2; 32], [3; 32], [0; 32]);
    assert_eq!(root(&[a], 1, 0), a);
    assert_eq!(root(&[a, b, c], 4, 0), parent(&parent(&a, &b), &parent(&c, &zero)));
    assert_eq!(root(&[a], 4, 0), parent(&parent(&a, &zero), &parent(&zero, &zero)));
    assert_eq!(root(&[], 2, 0), parent(&zero, &zero));
    // By way of pieces of four leaves.
    let all = leaves(11);
    let pieces: Vec<_> = all.chunks(4).map(|piece| root(piece, 4, 0)).collect();
    assert_eq!(root(&pieces, 4, 2), root(&all, 16, 0));
}

#[test]
fn an_uncle_is_what_a_neighbour_hashes_to() {
    let all = leaves(5);
    let zero = [0; 32];
    // Leaves 4 and 5 of 8: the uncle above them, then the other half.
    let tree = levels(&all, 8, 0);
    let proof = prove(&tree, 0, 4, 2, 9).unwrap();
    let other = parent(&parent(&all[0], &all[1]), &parent(&all[2], &all[3]));
    assert_eq!(proof, [all[4], zero, parent(&zero, &zero), other]);
    assert_eq!(prove(&tree, 0, 4, 2, 1).unwrap().len(), 3);
    assert_eq!(prove(&tree, 0, 4, 2, 0).unwrap().len(), 2);
    assert_eq!(prove(&tree, 0, 3, 2, 0), None);
    assert_eq!(prove(&tree, 0, 0, 3, 0), None);
    assert_eq!(prove(&tree, 0, 0, 1, 0), None);
    assert_eq!(prove(&tree, 0, 8, 8, 0), None);
}

proptest! {
    #[test]
    fn whatever_is_proven_verifies_and_nothing_else(
        count in 2..70u8, own in 1..5u32, at in any::<usize>(), wrong in any::<usize>(),
    ) {
        let all = leaves(count);
        let width = all.len().next_power_of_two();
        let length = (1usize << own).min(width);
        let index = at % (width / length) * length;
        let top = root(&all, width, 0);
        let mut proof = prove(&levels(&all, width, 0), 0, index, length, usize::MAX).unwrap();
        let check = |proof: &[Hash]| {
            let (nodes, uncles) = proof.split_at(length);
            verify(&top, nodes, uncles, width, index)
        };
        prop_assert_eq!(check(&proof), Ok(()));
        let wrong = wrong % proof.len();
        proof[wrong][7] ^= 1;
        prop_assert_eq!(check(&proof), Err(ProofError));
    }
}
