/* Does not compile, on purpose: `answer` is declared nowhere. */
#include <stdio.h>

int main(void)
{
    printf("The answer is %d.\n", answer);
    return 0;
}
