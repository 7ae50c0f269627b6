/* Prints the IPv4 address of the host that its argument names, by the C library's resolver; waits without one. */

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <unistd.h>

int main(int count, char **arguments) {
    struct addrinfo hints = {.ai_family = AF_INET}, *found;
    char text[INET_ADDRSTRLEN];
    if (count < 2)
        return pause();
    int error = getaddrinfo(arguments[1], NULL, &hints, &found);
    if (error) {
        fprintf(stderr, "%s\n", gai_strerror(error));
        return 1;
    }
    puts(inet_ntop(AF_INET, &((struct sockaddr_in *)found->ai_addr)->sin_addr, text, sizeof text));
    return 0;
}
