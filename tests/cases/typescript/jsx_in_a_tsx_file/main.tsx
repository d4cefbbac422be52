declare global {
    namespace JSX {
        interface Element { tag: string }
        interface IntrinsicElements { p: { title?: string } }
    }
}
export const paragraph = <p title="one">text</p>;
export const wrong = <q>text</q>;
