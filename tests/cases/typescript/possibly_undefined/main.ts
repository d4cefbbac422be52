export function shout(name?: string): string {
    return name.toUpperCase();
}
