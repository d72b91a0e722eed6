/* A program whose license is not free, but lets everybody pass it on. */
#include <stdio.h>

int main(void)
{
    puts("You may read me, run me and pass me on, but not compete with me.");
    return 0;
}
