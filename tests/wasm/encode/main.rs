//! Makes a component of a module that wit-bindgen compiled: `encode MODULE COMPONENT`.

use std::error::Error;

use wit_component::ComponentEncoder;

fn main() -> Result<(), Box<dyn Error>> {
    let [module, component] =
        std::env::args_os().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "encode MODULE COMPONENT")?;
    let bytes = ComponentEncoder::default().validate(true).module(&std::fs::read(module)?)?.encode()?;
    Ok(std::fs::write(component, bytes)?)
}
