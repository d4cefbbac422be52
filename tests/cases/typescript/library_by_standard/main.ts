export const last = [1, 2, 3].at(-1);
