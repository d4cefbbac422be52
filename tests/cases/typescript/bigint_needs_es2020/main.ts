export const big = 10n;
