/** @type {number} */
export const price = 'two';
