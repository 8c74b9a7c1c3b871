//! A table with a fixed number of places, each with a generation that grows with each use, so that
//! a stale id finds nothing.

use std::mem::offset_of;

use crate::prefetch::prefetch_start;

#[derive(Debug)]
#[repr(C)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// Values by place; the caller chooses the place.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: Vec<Slot<T>>,
    used_count: usize,
}

impl<T> Slots<T> {
    pub fn new(slot_count: usize) -> Slots<T> {
        let slots = (0..slot_count).map(|_| Slot { generation: 0, value: None }).collect();
        Slots { slots, used_count: 0 }
    }

    /// Places, empty ones included.
    pub fn place_count(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Places in use.
    pub fn used_count(&self) -> usize {
        self.used_count
    }

    /// Fills an empty place with what `make` makes of its new generation; `None` if it is not empty
    /// or does not exist.
    pub fn insert(&mut self, index: u32, make: impl FnOnce(u32) -> T) -> Option<&mut T> {
        let slot = self.slots.get_mut(index as usize).filter(|slot| slot.value.is_none())?;
        slot.generation = slot.generation.wrapping_add(1);
        self.used_count += 1;
        Some(slot.value.insert(make(slot.generation)))
    }

    /// Empties a place, if it is still of this generation.
    pub fn remove(&mut self, index: u32, generation: u32) -> Option<T> {
        let slot =
            self.slots.get_mut(index as usize).filter(|slot| slot.generation == generation)?;
        let value = slot.value.take()?;
        self.used_count -= 1;
        Some(value)
    }

    /// What is there, if it is still of this generation.
    pub fn get(&self, index: u32, generation: u32) -> Option<&T> {
        self.slots.get(index as usize).filter(|slot| slot.generation == generation)?.value.as_ref()
    }

    /// As `get`, to be changed.
    pub fn get_mut(&mut self, index: u32, generation: u32) -> Option<&mut T> {
        self.slots
            .get_mut(index as usize)
            .filter(|slot| slot.generation == generation)?
            .value
            .as_mut()
    }

    /// What is in the place now.
    pub fn at(&self, index: u32) -> Option<&T> {
        self.slots.get(index as usize)?.value.as_ref()
    }

    /// Asks for the memory of a place and the first `len` bytes of what is there.
    pub fn prefetch(&self, index: u32, len: usize) {
        if let Some(slot) = self.slots.get(index as usize) {
            prefetch_start(slot, offset_of!(Slot<T>, value) + len);
        }
    }

    /// What is in the place now, with its generation.
    pub fn at_mut(&mut self, index: u32) -> Option<(u32, &mut T)> {
        let slot = self.slots.get_mut(index as usize)?;
        slot.value.as_mut().map(|value| (slot.generation, value))
    }

    /// Two different places at once, each with its generation checked.
    pub fn pair_mut(&mut self, a: (u32, u32), b: (u32, u32)) -> Option<(&mut T, &mut T)> {
        let [first, second] = self.slots.get_disjoint_mut([a.0 as usize, b.0 as usize]).ok()?;
        if first.generation != a.1 || second.generation != b.1 {
            return None;
        }
        Some((first.value.as_mut()?, second.value.as_mut()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_id_finds_nothing() {
        let mut slots = Slots::new(2);
        let first = *slots.insert(1, |generation| generation).unwrap();
        assert_eq!(slots.insert(1, |_| 9), None);
        assert_eq!(slots.insert(2, |_| 9), None);
        assert_eq!(slots.remove(1, first), Some(first));
        assert_eq!(slots.remove(1, first), None);
        let second = *slots.insert(1, |generation| generation).unwrap();
        assert_eq!(slots.get(1, first), None);
        assert_eq!(slots.get(1, second), Some(&second));
        assert_eq!(slots.pair_mut((1, second), (1, second)), None);
        assert_eq!(slots.pair_mut((1, second), (0, 0)), None);
        assert_eq!(slots.used_count(), 1);
    }
}
