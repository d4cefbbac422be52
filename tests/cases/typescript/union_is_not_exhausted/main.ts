type Light = "red" | "green" | "amber";
export function stop(light: Light): boolean {
    if (light === "red") return true; else if (light === "green") return false;
    const rest: never = light;
    return rest;
}
