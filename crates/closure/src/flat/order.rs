//! Who uses what, and an order in which inputs come first.

use super::{FlatGraph, Node};

/// For every derivation, those that use it directly.
#[derive(Clone, Debug)]
pub struct Users {
    starts: Vec<u32>,
    users: Vec<u32>,
}

impl Users {
    /// The derivations that use this one directly, in the order of numbers.
    pub fn of(&self, node: Node) -> impl ExactSizeIterator<Item = Node> + '_ {
        let range = self.starts[node.index()] as usize..self.starts[node.index() + 1] as usize;
        self.users[range].iter().map(|user| Node(*user))
    }
}

/// Derivations, those first that others are made of.
#[derive(Clone, Debug)]
pub struct Order {
    /// Every derivation that is not made of itself; missing ones among them.
    pub inputs_first: Vec<Node>,
    /// Those that are made of themselves, and what lies between them.
    pub cyclic: Vec<Node>,
    /// Those that are made of cyclic ones without being one.
    pub behind_cycles: Vec<Node>,
}

impl FlatGraph {
    /// Turns the edges around.
    pub fn users(&self) -> Users {
        let mut starts = vec![0u32; self.len() + 1];
        for node in self.nodes() {
            for input in self.input_numbers(node) {
                starts[*input as usize + 1] += 1;
            }
        }
        let mut total = 0;
        for start in &mut starts {
            total += *start;
            *start = total;
        }
        let mut next = starts.clone();
        let mut users = vec![0u32; total as usize];
        for node in self.nodes() {
            for input in self.input_numbers(node) {
                let place = &mut next[*input as usize];
                users[*place as usize] = node.0;
                *place += 1;
            }
        }
        Users { starts, users }
    }

    /// Puts inputs before what is made of them. There is no recursion: graphs can be deeper than a stack.
    pub fn order(&self, users: &Users) -> Order {
        let mut waiting: Vec<u32> = self.nodes().map(|node| self.input_numbers(node).len() as u32).collect();
        let mut inputs_first: Vec<Node> = self.nodes().filter(|node| waiting[node.index()] == 0).collect();
        let mut done = 0;
        while let Some(node) = inputs_first.get(done).copied() {
            done += 1;
            for user in users.of(node) {
                waiting[user.index()] -= 1;
                if waiting[user.index()] == 0 {
                    inputs_first.push(user);
                }
            }
        }
        let left = self.nodes().filter(|node| waiting[node.index()] > 0).collect();
        let (cyclic, behind_cycles) = self.without_tips(users, left);
        Order { inputs_first, cyclic, behind_cycles }
    }

    /// Of derivations that wait for each other: those that others of them wait for, and the rest.
    fn without_tips(&self, users: &Users, left: Vec<Node>) -> (Vec<Node>, Vec<Node>) {
        if left.is_empty() {
            return (left, Vec::new());
        }
        let mut is_left = vec![false; self.len()];
        left.iter().for_each(|node| is_left[node.index()] = true);
        let mut needed = vec![0u32; self.len()];
        for node in &left {
            needed[node.index()] = users.of(*node).filter(|user| is_left[user.index()]).count() as u32;
        }
        let mut behind: Vec<Node> = left.iter().copied().filter(|node| needed[node.index()] == 0).collect();
        let mut done = 0;
        while let Some(node) = behind.get(done).copied() {
            done += 1;
            is_left[node.index()] = false;
            for input in self.inputs(node).filter(|input| is_left[input.index()]) {
                needed[input.index()] -= 1;
                if needed[input.index()] == 0 {
                    behind.push(input);
                }
            }
        }
        (left.into_iter().filter(|node| is_left[node.index()]).collect(), behind)
    }
}
