/* An echo server on usrsctp, SCTP in user space over raw IP sockets: a peer whose stack is not Linux's.
 *
 *   usrsctp_echo LOCAL PORT
 *
 * LOCAL is an IPv4 or IPv6 address. Says "listening" and echoes every message of every association until it is
 * told to end (SIGTERM). It does nothing about mobility: what its stack does with ASCONF is all there is. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <usrsctp.h>

static void *echo(void *argument)
{
    struct socket *association = argument;
    static _Thread_local char buffer[65536];
    for (;;) {
        struct sctp_rcvinfo received;
        struct sockaddr_storage from;
        socklen_t from_length = sizeof from, information_length = sizeof received;
        unsigned int kind = 0;
        int flags = 0;
        ssize_t length = usrsctp_recvv(association, buffer, sizeof buffer, (struct sockaddr *)&from, &from_length,
                                       &received, &information_length, &kind, &flags);
        if (length <= 0)
            break;
        if (flags & MSG_NOTIFICATION)
            continue;
        struct sctp_sndinfo send = {0};
        if (kind == SCTP_RECVV_RCVINFO) {
            send.snd_sid = received.rcv_sid;
            send.snd_ppid = received.rcv_ppid;
        }
        if (usrsctp_sendv(association, buffer, (size_t)length, NULL, 0, &send, sizeof send, SCTP_SENDV_SNDINFO, 0) < 0)
            perror("usrsctp_echo: send");
    }
    printf("an association has ended\n");
    usrsctp_close(association);
    return NULL;
}

static void end(int signal_number)
{
    (void)signal_number;
    _exit(0);
}

static int fail(const char *what)
{
    perror(what);
    return 1;
}

int main(int count, char **words)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGTERM, end);
    if (count != 3) {
        fprintf(stderr, "usage: usrsctp_echo LOCAL PORT\n");
        return 2;
    }
    struct sockaddr_storage local = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&local;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&local;
    in_port_t port = htons((in_port_t)atoi(words[2]));
    socklen_t length;
    if (inet_pton(AF_INET, words[1], &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = port;
        length = sizeof *v4;
    } else if (inet_pton(AF_INET6, words[1], &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = port;
        length = sizeof *v6;
    } else {
        fprintf(stderr, "usrsctp_echo: %s is no address\n", words[1]);
        return 2;
    }
    usrsctp_init(0, NULL, NULL);
    usrsctp_sysctl_set_sctp_blackhole(2); /* says nothing about packets of associations that it does not have */
    struct socket *server = usrsctp_socket(local.ss_family, SOCK_STREAM, IPPROTO_SCTP, NULL, NULL, 0, NULL);
    if (!server)
        return fail("usrsctp_echo: socket (raw sockets take CAP_NET_RAW)");
    const int on = 1;
    if (usrsctp_setsockopt(server, IPPROTO_SCTP, SCTP_RECVRCVINFO, &on, sizeof on) < 0)
        return fail("usrsctp_echo: SCTP_RECVRCVINFO");
    if (usrsctp_bind(server, (struct sockaddr *)&local, length) < 0)
        return fail("usrsctp_echo: bind");
    if (usrsctp_listen(server, 5) < 0)
        return fail("usrsctp_echo: listen");
    printf("listening\n");
    for (;;) {
        struct socket *association = usrsctp_accept(server, NULL, NULL);
        pthread_t thread;
        if (!association)
            return fail("usrsctp_echo: accept");
        printf("an association has begun\n");
        usrsctp_setsockopt(association, IPPROTO_SCTP, SCTP_RECVRCVINFO, &on, sizeof on);
        if (pthread_create(&thread, NULL, echo, association))
            return fail("usrsctp_echo: thread");
        pthread_detach(thread);
    }
}
