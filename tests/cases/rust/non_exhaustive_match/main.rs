pub enum Light {
    Red,
    Green,
}

pub fn stop(light: Light) -> bool {
    match light {
        Light::Red => true,
    }
}
