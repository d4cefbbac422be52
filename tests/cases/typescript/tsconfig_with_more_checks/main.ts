export function one(): number {
    const spare = 2;
    return 1;
}
