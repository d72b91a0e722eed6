//! Writes images of disks as seeds, of which only what is not zero is kept: `cargo run --example disk -- FOLDER IMAGE…`.

use std::path::Path;

const UNIT: usize = 128;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("a folder is named");
    for image in arguments {
        let bytes = std::fs::read(&image).expect("the image can be read");
        let units = u16::try_from(bytes.len() / UNIT).expect("the image is smaller than 8 MiB");
        let mut seed = units.to_le_bytes().to_vec();
        for (place, unit) in (0u16..).zip(bytes.chunks(UNIT)) {
            if let Some(last) = unit.iter().rposition(|byte| *byte != 0) {
                seed.extend(place.to_le_bytes());
                seed.push(last as u8);
                seed.extend(&unit[..=last]);
            }
        }
        let name = Path::new(&image).file_name().expect("the image has a name");
        std::fs::write(Path::new(&folder).join(name), seed).expect("the seed can be written");
    }
}
