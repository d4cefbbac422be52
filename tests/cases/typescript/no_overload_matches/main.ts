declare function show(value: number): void;
declare function show(value: string): void;
export {};
show(true);
